//! From an `image_url` to a file of this machine, as the trainer reads them: a path from the list's folder, an absolute one, or
//! `file://`. The server fetches nothing.

use std::path::{Path, PathBuf};

use schemas::{
    ErrorCode,
    dataset::image_url::{escaped, file_path, plain_path, scheme},
};

use super::super::error::Fault;

/// Where `url`, written in a list of the folder `base`, leads. Of two readings, percent-decoded or not, the one is taken that exists.
///
/// # Errors
/// It leads to another machine.
pub(super) fn file(base: &Path, url: &str) -> Result<PathBuf, Fault> {
    let url = url.trim();
    let Some((scheme, rest)) = scheme(url) else {
        return Ok(plain_path(base, url));
    };
    let elsewhere = |help: &str| Fault::new(ErrorCode::FileNotFound, format!("{url:?} {help}"));
    if !scheme.eq_ignore_ascii_case("file") {
        return Err(elsewhere("is not on this machine; name a path or a file:// URL, since images are not fetched"));
    }
    file_path(rest).ok_or_else(|| elsewhere("names a host; write file:///absolute/path"))
}

/// A path as text: itself where it is UTF-8, otherwise a `file://` URL or, of a relative one, its percent-encoded form.
pub(super) fn text(path: &Path) -> String {
    path.to_str().map_or_else(|| escaped(path), str::to_owned)
}

/// Whether `url` leads to the same file from every folder.
pub(super) fn is_absolute(url: &str) -> bool {
    let url = url.trim();
    scheme(url).is_some() || url.starts_with('/')
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};

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
