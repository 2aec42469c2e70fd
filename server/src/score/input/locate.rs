//! From an `image_url` to a file of this machine, as the trainer reads them: a path from the list's folder, an absolute one, or
//! `file://`. The server fetches nothing.

use std::{
    ffi::OsString,
    os::unix::ffi::{OsStrExt, OsStringExt},
    path::{Path, PathBuf},
};

use schemas::ErrorCode;

use super::super::error::Fault;

/// Where `url`, written in a list of the folder `base`, leads. Of two readings, percent-decoded or not, the one is taken that exists.
///
/// # Errors
/// It leads to another machine.
pub(super) fn file(base: &Path, url: &str) -> Result<PathBuf, Fault> {
    let url = url.trim();
    let Some((scheme, rest)) = scheme(url) else {
        return Ok(existing(base.join(url), decoded(url).map(|path| base.join(path))));
    };
    let elsewhere = |help: &str| Fault::new(ErrorCode::FileNotFound, format!("{url:?} {help}"));
    if !scheme.eq_ignore_ascii_case("file") {
        return Err(elsewhere("is not on this machine; name a path or a file:// URL, since images are not fetched"));
    }
    let rest = rest.strip_prefix("localhost").unwrap_or(rest);
    if !rest.starts_with('/') {
        return Err(elsewhere("names a host; write file:///absolute/path"));
    }
    let literal = PathBuf::from(rest);
    Ok(match decoded(rest) {
        Some(plain) => existing(plain, Some(literal)),
        None => literal,
    })
}

/// A path as text: itself where it is UTF-8, otherwise a `file://` URL or, of a relative one, its percent-encoded form.
pub(super) fn text(path: &Path) -> String {
    match path.to_str() {
        Some(text) => text.to_owned(),
        None if path.is_absolute() => format!("file://{}", encoded(path)),
        None => encoded(path),
    }
}

/// Whether `url` leads to the same file from every folder.
pub(super) fn is_absolute(url: &str) -> bool {
    let url = url.trim();
    scheme(url).is_some() || url.starts_with('/')
}

fn scheme(url: &str) -> Option<(&str, &str)> {
    url.split_once("://").filter(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

/// `first`, unless it does not exist and `second` does.
fn existing(first: PathBuf, second: Option<PathBuf>) -> PathBuf {
    match second {
        Some(second) if !first.exists() && second.exists() => second,
        _ => first,
    }
}

/// The percent-decoded path; `None` where there is nothing to decode.
fn decoded(text: &str) -> Option<PathBuf> {
    let hex = |digit: &u8| char::from(*digit).to_digit(16).and_then(|value| u8::try_from(value).ok());
    let (bytes, mut out, mut at) = (text.as_bytes(), Vec::new(), 0);
    while let Some(&byte) = bytes.get(at) {
        let pair = bytes.get(at + 1).and_then(hex).zip(bytes.get(at + 2).and_then(hex));
        match (byte, pair) {
            (b'%', Some((high, low))) => {
                out.push(high << 4 | low);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    (out.len() < bytes.len()).then(|| OsString::from_vec(out).into())
}

fn encoded(path: &Path) -> String {
    let one = |&byte: &u8| {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            char::from(byte).to_string()
        } else {
            format!("%{byte:02X}")
        }
    };
    path.as_os_str().as_bytes().iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use super::*;

    #[test]
    fn every_form_of_this_machine() {
        for (url, path) in [
            ("a/b.jpg", "/set/a/b.jpg"),
            ("../a.jpg", "/set/../a.jpg"),
            ("/x/a.jpg", "/x/a.jpg"),
            ("file:///x/a%20b.jpg", "/x/a b.jpg"),
            ("FILE://localhost/x/a.jpg", "/x/a.jpg"),
            ("100%.jpg", "/set/100%.jpg"),
            (" a%20b.jpg ", "/set/a%20b.jpg"),
        ] {
            assert_eq!(file(Path::new("/set"), url), Ok(PathBuf::from(path)), "{url}");
        }
        for url in ["http://x/a.jpg", "azureml://x/paths/a.jpg", "AmlDatastore://a.jpg", "file://host/a.jpg"] {
            assert_eq!(file(Path::new("/set"), url).unwrap_err().code, ErrorCode::FileNotFound, "{url}");
        }
    }

    #[test]
    fn a_name_that_is_no_text_leads_back() {
        let path = Path::new(OsStr::from_bytes(b"/x/\xff %.jpg"));
        assert_eq!(text(path), "file:///x/%FF%20%25.jpg");
        assert_eq!(file(Path::new("/set"), &text(path)), Ok(path.to_owned()));
        assert_eq!(text(Path::new("a b.jpg")), "a b.jpg");
    }
}
