//! From the bytes of a table to its fields.

use std::fs;
use std::path::Path;

use super::wrong;
use crate::DataError;

/// A line of a table, or several where a quoted field spans them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The line it begins on, from 1.
    pub line: usize,
    /// Without surrounding blanks.
    pub fields: Vec<String>,
}

/// The lines of a table that hold anything; at least one.
pub struct Records {
    /// In order.
    pub all: Vec<Record>,
    /// What was assumed to read them.
    pub assumed: Vec<String>,
}

const DELIMITERS: [char; 4] = ['\t', ';', '|', ','];

/// Reads a table. Fields may be quoted with `"`, doubled inside (RFC 4180). A first line `sep=;`, as Excel writes it,
/// names the delimiter; otherwise it is `delimiter` or, without one, a tab where the first line has one, else whichever
/// of `;`, `|` and `,` is there most often. UTF-16 is read where the file begins with its mark.
///
/// # Errors
/// The file cannot be read, is in another encoding, has no line that holds anything, or has a quote that is never
/// closed.
pub fn read(path: &Path, delimiter: Option<char>) -> Result<Records, DataError> {
    let bytes = fs::read(path).map_err(|source| DataError::Io { action: "read", path: path.to_owned(), source })?;
    let mut assumed = Vec::new();
    let text = decoded(bytes, &mut assumed).map_err(|message| wrong(path, message))?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(&text);
    let first = text.lines().find(|line| !line.trim().is_empty()).unwrap_or_default();
    let declared = declared(first);
    let shown = if declared.is_some() { text.lines().nth(1).unwrap_or_default() } else { first };
    let delimiter = delimiter.or(declared).unwrap_or_else(|| guessed(shown));
    if delimiter != ',' {
        let name = if delimiter == '\t' { "tabs".to_owned() } else { delimiter.to_string() };
        assumed.push(format!("fields are separated by {name}"));
    }
    let byte = u8::try_from(delimiter).ok().filter(u8::is_ascii);
    let byte = byte.ok_or_else(|| wrong(path, format!("{delimiter:?} cannot separate fields; use , ; | or a tab")))?;
    let mut all = split(text, byte).map_err(|message| wrong(path, message))?;
    if declared.is_some() && !all.is_empty() {
        all.remove(0);
    }
    if all.is_empty() {
        return Err(wrong(path, "has no rows"));
    }
    Ok(Records { all, assumed })
}

/// The text of a file in UTF-8, or in UTF-16 with its mark.
fn decoded(bytes: Vec<u8>, assumed: &mut Vec<String>) -> Result<String, String> {
    let units = |of: fn([u8; 2]) -> u16| bytes[2..].chunks_exact(2).map(move |pair| of([pair[0], pair[1]]));
    let wide: Option<Vec<u16>> = match bytes.get(..2) {
        Some([0xff, 0xfe]) => Some(units(u16::from_le_bytes).collect()),
        Some([0xfe, 0xff]) => Some(units(u16::from_be_bytes).collect()),
        _ => None,
    };
    if let Some(wide) = wide {
        assumed.push("the file is in UTF-16".to_owned());
        return String::from_utf16(&wide).map_err(|_| "is not readable as UTF-16; save it as UTF-8".to_owned());
    }
    if bytes.contains(&0) {
        let what =
            "is no text: it holds zero bytes. Save the table as CSV in UTF-8 (a spreadsheet: Save as, CSV UTF-8)";
        return Err(what.to_owned());
    }
    String::from_utf8(bytes).map_err(|error| {
        let valid = error.utf8_error().valid_up_to();
        let line = 1 + error.as_bytes()[..valid].iter().filter(|byte| **byte == b'\n').count();
        format!(
            "line {line} is not UTF-8. Save the table as UTF-8 (a spreadsheet: Save as, CSV UTF-8), or type: \
             iconv -f WINDOWS-1252 -t UTF-8 FILE > NEW.csv"
        )
    })
}

/// The delimiter that a line `sep=;` declares.
fn declared(line: &str) -> Option<char> {
    let rest = line.trim_end_matches(['\r', '\n']).trim_matches('"');
    let rest = rest.get(..4).filter(|start| start.eq_ignore_ascii_case("sep=")).map(|_| &rest[4..])?;
    let mut letters = rest.chars();
    letters.next().filter(|_| letters.next().is_none())
}

fn guessed(line: &str) -> char {
    let mut quoted = false;
    let mut counts = [0_usize; DELIMITERS.len()];
    for letter in line.chars() {
        quoted ^= letter == '"';
        if let Some(at) = DELIMITERS.iter().position(|delimiter| *delimiter == letter).filter(|_| !quoted) {
            counts[at] += 1;
        }
    }
    if counts[0] > 0 {
        return '\t';
    }
    // Of equal counts the comma, which stands last, is taken.
    let most = (0..DELIMITERS.len()).max_by_key(|at| counts[*at]).unwrap_or(DELIMITERS.len() - 1);
    DELIMITERS[most]
}

/// Fields of each record that holds anything.
fn split(text: &str, delimiter: u8) -> Result<Vec<Record>, String> {
    // A record of its own, unless a quote before it is still open and swallows it.
    const END: &str = "\u{1}the end of the table";
    let whole = format!("{text}\n{END}\n");
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(whole.as_bytes());
    let mut all: Vec<Record> = Vec::new();
    // The reader's own count of lines is late after blank lines and carriage returns, so lines are counted here.
    let (mut line, mut counted) = (1, 0);
    let mut closed = false;
    for record in reader.records() {
        let record = record.map_err(|error| error.to_string())?;
        let start = record.position().map_or(counted, |position| position.byte() as usize);
        let start = start + whole[start..].bytes().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        line += whole[counted..start].bytes().filter(|byte| *byte == b'\n').count();
        counted = start;
        closed = record.len() == 1 && &record[0] == END;
        let fields: Vec<String> = record.iter().map(|field| field.trim().to_owned()).collect();
        all.push(Record { line, fields });
    }
    if !closed {
        return Err(format!("line {line}: a quoted field is not closed"));
    }
    all.pop();
    all.retain(|record| record.fields.iter().any(|field| !field.is_empty()));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(text: &str, delimiter: u8) -> Vec<(usize, Vec<String>)> {
        split(text, delimiter).unwrap().into_iter().map(|record| (record.line, record.fields)).collect()
    }

    #[test]
    fn records_know_their_lines() {
        let found = lines("a,b\r\n\r\n \"c\nd\",\"e\"\"\"\r\n\"c\r\nd\",e\n\n,,\nf,g,", b',');
        let numbers: Vec<usize> = found.iter().map(|(line, _)| *line).collect();
        // A quote after a blank is no quote, as RFC 4180 has it.
        assert_eq!(numbers, [1, 3, 4, 5, 9]);
        assert_eq!(found[3].1, ["c\r\nd", "e"]);
        assert_eq!(found[4].1, ["f", "g", ""]);
        assert_eq!(split("a,b\nc,\"d\ne", b','), Err("line 2: a quoted field is not closed".to_owned()));
    }

    #[test]
    fn delimiters_are_declared_or_guessed() {
        for (line, expected) in
            [("a\tb,c;d", '\t'), ("a;b,c;d", ';'), ("a|b", '|'), ("a,b|c", ','), ("\"a;b;c\",d", ','), ("a", ',')]
        {
            assert_eq!(guessed(line), expected, "{line}");
        }
        assert_eq!(declared("sep=;\r"), Some(';'));
        assert_eq!(declared("\"sep=|\""), Some('|'));
        assert_eq!(declared("sep,label"), None);
    }
}
