//! Text files that were written by others.

use std::fs;
use std::path::Path;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};

use super::{io_error, wrong};
use crate::DataError;

/// Text of a file in UTF-8, or in UTF-16 with a byte order mark, which is taken off.
///
/// # Errors
/// It cannot be read, or is neither.
pub fn read(path: &Path) -> Result<String, DataError> {
    let bytes = fs::read(path).map_err(|source| io_error("read", path, source))?;
    decoded(&bytes, UTF_8).ok_or_else(|| wrong(path, "is no text in UTF-8; save it as UTF-8"))
}

/// As [`read`], with a mark in place of each byte that is no text, for files whose lines are judged one by one.
///
/// # Errors
/// It cannot be read.
pub fn read_lossy(path: &Path) -> Result<String, DataError> {
    let bytes = fs::read(path).map_err(|source| io_error("read", path, source))?;
    Ok(UTF_8.decode(&bytes).0.into_owned())
}

/// Text of an XML file, in the encoding that its byte order mark or its declaration names, or else in UTF-8.
///
/// # Errors
/// The encoding is not known, or the bytes are none of it.
pub fn xml(bytes: &[u8]) -> Result<String, String> {
    let encoding = match declared(bytes) {
        None => UTF_8,
        Some(name) => Encoding::for_label(name.as_bytes())
            .ok_or_else(|| format!("declares the encoding {name:?}, which is not known; save it as UTF-8"))?,
    };
    // Some write `utf-16` into files of single bytes.
    let single = bytes.starts_with(b"<") && bytes.get(1) != Some(&0);
    let encoding = match encoding {
        wide if single && (wide == UTF_16LE || wide == UTF_16BE) => UTF_8,
        other => other,
    };
    decoded(bytes, encoding)
        .ok_or_else(|| format!("is no text in {}, the encoding that it declares; save it as UTF-8", encoding.name()))
}

/// The text, unless some bytes are none; a byte order mark says more than `encoding`.
fn decoded(bytes: &[u8], encoding: &'static Encoding) -> Option<String> {
    let (text, _, broken) = encoding.decode(bytes);
    (!broken).then(|| text.into_owned())
}

/// The encoding that the declaration at the start names, in which every other byte may be 0; UTF-16 that declares nothing is
/// told by these.
fn declared(bytes: &[u8]) -> Option<String> {
    const HEAD: usize = 400;
    let wide = match bytes {
        [b'<', 0, ..] => Some("utf-16le"),
        [0, b'<', ..] => Some("utf-16be"),
        _ => None,
    };
    if let Some(wide) = wide {
        return Some(wide.to_owned());
    }
    let head: String = bytes.iter().take(HEAD).map(|byte| char::from(*byte)).collect();
    let declaration = head.split_once("<?xml")?.1.split_once("?>")?.0;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    Some(value[1..].split_once(quote)?.0.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn xml_is_read_in_its_encoding() {
        let wide = |text: &str, mark: bool, order: fn(u16) -> [u8; 2]| -> Vec<u8> {
            let mark = mark.then_some(0xfeff);
            mark.into_iter().chain(text.encode_utf16()).flat_map(order).collect()
        };
        let latin = b"<?xml version=\"1.0\" encoding='ISO-8859-1'?><a>M\xfcll</a>".to_vec();
        let chinese = b"<?xml version=\"1.0\" encoding=\"GBK\" ?><a>\xc3\xa8</a>".to_vec();
        let western = b"<?xml version='1.0' encoding=\"windows-1252\"?><a>\x80</a>".to_vec();
        for (bytes, wanted) in [
            (latin, "M\u{fc}ll"),
            (chinese, "\u{732b}"),
            (western, "\u{20ac}"),
            (wide("<a>M\u{fc}ll</a>", true, u16::to_le_bytes), "M\u{fc}ll"),
            (wide("<a>M\u{fc}ll</a>", true, u16::to_be_bytes), "M\u{fc}ll"),
            (wide("<a>M\u{fc}ll</a>", false, u16::to_le_bytes), "M\u{fc}ll"),
            ("\u{feff}<a>M\u{fc}ll</a>".into(), "M\u{fc}ll"),
            ("<?xml version=\"1.0\" encoding=\"utf-16\"?><a>M\u{fc}ll</a>".into(), "M\u{fc}ll"),
        ] {
            let text = xml(&bytes).unwrap();
            assert!(text.ends_with(&format!("<a>{wanted}</a>")), "{text}");
            assert!(!text.starts_with('\u{feff}'));
        }
        assert!(xml(b"<a>M\xfcll</a>").unwrap_err().contains("UTF-8"));
        assert!(xml(b"<?xml version=\"1.0\" encoding=\"klingon\"?><a/>").unwrap_err().contains("\"klingon\""));
    }
}
