//! A path as an `image_url`.

use std::path::{Component, Path, PathBuf};

use schemas::dataset::image_url::escaped;

/// The `image_url` by which a file in `base` names `path`; both absolute and without links between them. Relative, with
/// `..` where needed, unless that would climb to the root. A path that is not UTF-8 is percent-encoded.
pub fn image_url(base: &Path, path: &Path) -> String {
    let relative = relative(base, path).unwrap_or_else(|| path.to_owned());
    match relative.to_str() {
        // Surrounding blanks would be trimmed and `scheme://` misread.
        Some(text) if text.trim() == text && !text.contains("://") => text.to_owned(),
        Some(_) | None => escaped(&relative),
    }
}

fn relative(base: &Path, path: &Path) -> Option<PathBuf> {
    let (base, path): (Vec<Component>, Vec<Component>) = (clean(base), clean(path));
    let shared = base.iter().zip(&path).take_while(|(a, b)| a == b).count();
    // Sharing only the root is sharing nothing.
    if shared <= 1 {
        return None;
    }
    let up = std::iter::repeat_n(Component::ParentDir, base.len() - shared);
    Some(up.chain(path[shared..].iter().copied()).collect())
}

fn clean(path: &Path) -> Vec<Component<'_>> {
    let mut out = Vec::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir if matches!(out.last(), Some(Component::Normal(_))) => drop(out.pop()),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(base: &str, path: &str, expected: &str) {
        assert_eq!(image_url(Path::new(base), Path::new(path)), expected);
    }

    #[test]
    fn relative_where_it_is_shorter() {
        check("/d/set", "/d/set/cat/1.jpg", "cat/1.jpg");
        check("/d/set/lists", "/d/set/cat/1 ä%20.jpg", "../cat/1 ä%20.jpg");
        check("/d/./x/../set", "/d/set/1.jpg", "1.jpg");
        check("/out", "/d/set/1.jpg", "/d/set/1.jpg");
    }

    #[test]
    fn odd_names_survive() {
        use std::ffi::OsString;
        use std::os::unix::ffi::OsStringExt;
        check("/d", "/d/ a.jpg", "%20a.jpg");
        let path = PathBuf::from(OsString::from_vec(b"/d/\xff.jpg".to_vec()));
        assert_eq!(image_url(Path::new("/d"), &path), "%FF.jpg");
        assert_eq!(image_url(Path::new("/e"), &path), "file:///d/%FF.jpg");
    }
}
