//! How an `image_url` is written: schemes, percent-encoding (RFC 3986, section 2), and which of two readings of a path is meant.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The scheme of a URL and what follows its `://`; `None` of a path.
#[must_use]
pub fn scheme(url: &str) -> Option<(&str, &str)> {
    url.split_once("://").filter(|(scheme, _)| {
        scheme.starts_with(|c: char| c.is_ascii_alphabetic())
            && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
    })
}

/// The file that a plain path below `base` means: as written, unless only the decoded one exists.
#[must_use]
pub fn plain_path(base: &Path, path: &str) -> PathBuf {
    existing(base.join(path), decoded(base, path))
}

/// The file that a URL's path below `root` means: decoded, unless only the one as written exists.
#[must_use]
pub fn url_path(root: &Path, path: &str) -> PathBuf {
    let literal = root.join(path);
    match decoded(root, path) {
        Some(plain) => existing(plain, Some(literal)),
        None => literal,
    }
}

/// The file that `rest`, which follows `file://`, means; `None` where it names a host.
#[must_use]
pub fn file_path(rest: &str) -> Option<PathBuf> {
    let path = rest.strip_prefix("localhost").unwrap_or(rest).strip_prefix('/')?;
    Some(url_path(Path::new("/"), path))
}

/// A path as an `image_url` that can hold any bytes: an absolute one as a `file://` URL, a relative one percent-encoded.
#[must_use]
pub fn escaped(path: &Path) -> String {
    if path.is_absolute() { format!("file://{}", percent_encode_path(path)) } else { percent_encode_path(path) }
}

/// `first`, unless it does not exist and `second` does. Asks the file system only where there are two readings.
fn existing(first: PathBuf, second: Option<PathBuf>) -> PathBuf {
    match second {
        Some(second) if !first.exists() && second.exists() => second,
        _ => first,
    }
}

fn decoded(root: &Path, path: &str) -> Option<PathBuf> {
    let bytes = percent_decode(path)?;
    Some(root.join(OsString::from_vec(bytes)))
}

/// The decoded bytes, or `None` where there is nothing to decode. A `%` without two hexadecimal digits stays as it is.
#[must_use]
pub fn percent_decode(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    let mut changed = false;
    while at < bytes.len() {
        let pair = bytes.get(at + 1..at + 3).and_then(|pair| Some((hex(pair[0])?, hex(pair[1])?)));
        match (bytes[at], pair) {
            (b'%', Some((high, low))) => {
                out.push(high << 4 | low);
                at += 3;
                changed = true;
            }
            (byte, _) => {
                out.push(byte);
                at += 1;
            }
        }
    }
    changed.then_some(out)
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// A path as the path part of a URL: every byte but unreserved ones and `/` becomes `%XX` (RFC 3986, section 2.3).
#[must_use]
pub fn percent_encode_path(path: &Path) -> String {
    let mut out = String::new();
    for &byte in path.as_os_str().as_bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~' | b'/') {
            out.push(char::from(byte));
        } else {
            out.push_str(&format!("%{byte:02X}"));
        }
    }
    out
}
