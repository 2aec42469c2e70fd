//! From an `image_url` to where the image is.
//!
//! | `image_url` | meaning |
//! |---|---|
//! | `dir/a.jpg` | relative to the folder of the JSONL file it is written in |
//! | `/dir/a.jpg` | absolute |
//! | `file:///dir/a.jpg` | absolute, percent-decoded |
//! | `http://…`, `https://…` | fetched once into the run's cache |
//! | `azureml://…/paths/REST` | `REST` below `--data_root`, percent-decoded |
//! | `AmlDatastore://REST` | `REST` below `--data_root`, percent-decoded |
//!
//! A plain path that does not exist as written but does when percent-decoded is taken decoded (`a%20b.jpg`); a URL is
//! taken decoded first and as written second. `..` may lead out of any of these folders: a data set is the user's own
//! file about the user's own files, and a path in it is trusted as much as one on the command line.

use std::os::unix::ffi::OsStringExt;
use std::path::{Component, Path, PathBuf};

use schemas::dataset::image_url::{escaped, file_path, plain_path, scheme, url_path};

/// Where an image is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// A file of this machine.
    File(PathBuf),
    /// An `http` or `https` URL.
    Http(String),
}

impl Location {
    /// One text per image, for finding duplicates: `.` and `..` are folded without asking the file system, so two
    /// names joined only by a symbolic link count as two images.
    pub fn key(&self) -> Vec<u8> {
        match self {
            Self::File(path) => fold(path).into_os_string().into_vec(),
            Self::Http(url) => url.clone().into_bytes(),
        }
    }

    /// An `image_url` that means the same from anywhere: an absolute path, a `file://` URL where the path is not UTF-8,
    /// or the `http` URL.
    pub fn to_image_url(&self) -> String {
        match self {
            Self::File(path) => path.to_str().map_or_else(|| escaped(path), str::to_owned),
            Self::Http(url) => url.clone(),
        }
    }
}

/// Resolves the `image_url`s of one JSONL file.
#[derive(Clone, Debug)]
pub struct Resolver {
    base: PathBuf,
    data_root: Option<PathBuf>,
}

impl Resolver {
    /// `base`: absolute path of the JSONL file's folder; `data_root`: what cloud paths are mapped to.
    pub fn new(base: PathBuf, data_root: Option<PathBuf>) -> Self {
        Self { base, data_root }
    }

    /// Where `image_url` is.
    ///
    /// # Errors
    /// A text saying what is wrong: empty, of an unknown scheme, or a cloud path without `--data_root`.
    pub fn resolve(&self, image_url: &str) -> Result<Location, String> {
        let url = image_url.trim();
        if url.is_empty() {
            return Err("image_url is empty".to_owned());
        }
        let Some((scheme, rest)) = scheme(url) else {
            return Ok(Location::File(plain_path(&self.base, url)));
        };
        match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => Ok(Location::Http(url.to_owned())),
            "file" => match file_path(rest) {
                Some(path) => Ok(Location::File(path)),
                None => Err(format!("{url:?} names a host; write file:///absolute/path")),
            },
            "azureml" => {
                let Some((_, path)) = rest.split_once("/paths/") else {
                    return Err(format!(
                        "{url:?} has no /paths/ part; expected azureml://…/datastores/NAME/paths/REST"
                    ));
                };
                self.mapped(url, path)
            }
            "amldatastore" => self.mapped(url, rest),
            _ => Err(format!(
                "{url:?}: scheme {scheme:?} is not supported; use a path, file://, http(s)://, azureml://…/paths/… or AmlDatastore://…"
            )),
        }
    }

    fn mapped(&self, url: &str, path: &str) -> Result<Location, String> {
        match &self.data_root {
            Some(root) => Ok(Location::File(url_path(root, path.trim_start_matches('/')))),
            None => {
                Err(format!("{url:?} is a cloud path; pass --data_root with the local folder that holds its files"))
            }
        }
    }
}

fn fold(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                if !out.pop() {
                    out.push("..");
                }
            }
            Component::Prefix(_) | Component::RootDir | Component::Normal(_) => out.push(part),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use super::*;

    #[track_caller]
    fn check(image_url: &str, expected: &str) {
        let resolver = Resolver::new("/set/lists".into(), Some("/root of/data".into()));
        match resolver.resolve(image_url).unwrap() {
            Location::File(path) => assert_eq!(path, Path::new(expected)),
            Location::Http(url) => assert_eq!(url, expected),
        }
    }

    #[test]
    fn every_form() {
        check("a/b.jpg", "/set/lists/a/b.jpg");
        check("./a.jpg", "/set/lists/./a.jpg");
        check("/x/a.jpg", "/x/a.jpg");
        check("file:///x/a%20b.jpg", "/x/a b.jpg");
        check("file://localhost/x/a.jpg", "/x/a.jpg");
        check("HTTPS://Host/a%20b.jpg?x=1", "HTTPS://Host/a%20b.jpg?x=1");
        check(
            "azureml://subscriptions/1/resourcegroups/2/workspaces/3/datastores/4/paths/a/b%20c.jpg",
            "/root of/data/a/b c.jpg",
        );
        check("azureml://datastores/4/paths/a.jpg", "/root of/data/a.jpg");
        check("AmlDatastore://dir/a.jpg", "/root of/data/dir/a.jpg");
        // Nothing there either way: as written.
        check("a%20b.jpg", "/set/lists/a%20b.jpg");
        check("100%.jpg", "/set/lists/100%.jpg");
        check("C:/a.jpg", "/set/lists/C:/a.jpg");
        check("näme, weiß.jpg", "/set/lists/näme, weiß.jpg");
    }

    #[test]
    fn errors_say_what_to_do() {
        let resolver = Resolver::new("/set".into(), None);
        for (url, part) in [
            ("", "empty"),
            ("  ", "empty"),
            ("AmlDatastore://a.jpg", "--data_root"),
            ("azureml://datastores/x/paths/a.jpg", "--data_root"),
            ("azureml://datastores/x/a.jpg", "/paths/"),
            ("file://server/a.jpg", "file:///"),
            ("s3://bucket/a.jpg", "not supported"),
        ] {
            let message = resolver.resolve(url).unwrap_err();
            assert!(message.contains(part), "{url}: {message}");
        }
    }

    #[test]
    fn whichever_reading_exists_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["a b.jpg", "c%20d.jpg"] {
            std::fs::write(dir.path().join(name), "x").unwrap();
        }
        let resolver = Resolver::new(dir.path().into(), Some(dir.path().into()));
        for (url, name) in [
            ("a%20b.jpg", "a b.jpg"),
            ("c%20d.jpg", "c%20d.jpg"),
            ("AmlDatastore://a%20b.jpg", "a b.jpg"),
            ("AmlDatastore://c%20d.jpg", "c%20d.jpg"),
        ] {
            assert_eq!(resolver.resolve(url).unwrap(), Location::File(dir.path().join(name)), "{url}");
        }
    }

    #[test]
    fn one_key_per_image() {
        let key = |path: &str| Location::File(path.into()).key();
        assert_eq!(key("/a/./b/../c.jpg"), key("/a/c.jpg"));
        assert_ne!(key("/a/b/c.jpg"), key("/a/c.jpg"));
    }

    #[test]
    fn bytes_that_are_not_text_survive() {
        let path = PathBuf::from(OsString::from_vec(b"/x/\xff \xe4.jpg".to_vec()));
        let url = Location::File(path.clone()).to_image_url();
        assert_eq!(url, "file:///x/%FF%20%E4.jpg");
        assert_eq!(Resolver::new("/".into(), None).resolve(&url).unwrap(), Location::File(path));
    }
}
