//! Artifacts of a run.

use std::fs::{self, File};
use std::io;
use std::path::{Component, Path, PathBuf};

use serde_json::Value;
use ureq::http::Method;

use super::http::{Body, Call, Repeat, encoded};
use super::{MlflowError, Run, Server};

/// Where a run's artifacts are put from here.
#[derive(Debug, PartialEq, Eq)]
enum Store {
    /// Through the server: first folders, without a slash at either end.
    Proxied(String),
    /// A folder that the server sees too.
    Folder(PathBuf),
}

impl Server {
    /// Uploads a file, or everything in a folder, as the artifact `to` of a run (`model`, `reports/study.html`). An artifact that
    /// is there under the name is replaced, so it may be called again.
    ///
    /// Through the server where it takes artifacts itself; by copying where they lie in a folder of this machine, of which the
    /// server must then say that it sees the last file.
    ///
    /// # Errors
    /// A store that can be reached neither way (an object store without the server in between); a path that leads elsewhere, or
    /// links and other strange files in the folder; a refusal, or no server.
    pub fn upload(&self, run: &Run, from: &Path, to: &str) -> Result<(), MlflowError> {
        let store = store_of(&run.artifact_uri, self.client.authority())?;
        let mut files = Vec::new();
        collect(from, to, &mut files)?;
        for (file, name) in &files {
            checked(name)?;
            match &store {
                Store::Proxied(prefix) => {
                    let parts: Vec<String> =
                        prefix.split('/').chain(name.split('/')).filter(|part| !part.is_empty()).map(encoded).collect();
                    self.client.call(&Call {
                        what: &format!("upload {} as the artifact {name}", file.display()),
                        method: Method::PUT,
                        path: format!("mlflow-artifacts/artifacts/{}", parts.join("/")),
                        body: Body::File(file),
                        repeat: Repeat::Harmless,
                    })?;
                }
                Store::Folder(folder) => {
                    let target = folder.join(name);
                    let mut source = File::open(file).map_err(MlflowError::io("read", file))?;
                    files::atomic::replace(&target, |out| io::copy(&mut source, out).map(drop))
                        .map_err(MlflowError::io("write", &target))?;
                }
            }
        }
        match (store, files.last()) {
            (Store::Folder(_), Some((_, name))) => self.must_see(run, name),
            (Store::Folder(_) | Store::Proxied(_), _) => Ok(()),
        }
    }

    /// Another machine may have a folder of the same name.
    fn must_see(&self, run: &Run, name: &str) -> Result<(), MlflowError> {
        let mut path = format!("artifacts/list?run_id={}", encoded(&run.id));
        if let Some((folder, _)) = name.rsplit_once('/') {
            path += &format!("&path={}", encoded(folder));
        }
        let answer = self.get(&format!("find the artifact {name}"), &path)?;
        let listed = answer.get("files").and_then(Value::as_array);
        if listed.is_some_and(|listed| listed.iter().any(|file| file.get("path").and_then(Value::as_str) == Some(name)))
        {
            return Ok(());
        }
        let why =
            "it was copied into this folder, and the server does not see it there: the folder is on another machine";
        Err(MlflowError::ArtifactStore { uri: run.artifact_uri.clone(), why })
    }
}

fn store_of(uri: &str, authority: &str) -> Result<Store, MlflowError> {
    let refused = |why| Err(MlflowError::ArtifactStore { uri: uri.to_owned(), why });
    if let Some(rest) = uri.strip_prefix("mlflow-artifacts:") {
        let path = match rest.strip_prefix("//") {
            None => rest,
            Some(rest) => {
                let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
                if !host.is_empty() && host != authority {
                    return refused("another server takes them");
                }
                path
            }
        };
        return Ok(Store::Proxied(path.trim_matches('/').to_owned()));
    }
    let folder = match uri.strip_prefix("file:") {
        Some(rest) => {
            let path = rest.strip_prefix("//localhost").or_else(|| rest.strip_prefix("//")).unwrap_or(rest);
            match decoded(path) {
                Some(path) => PathBuf::from(path),
                None => return refused("the address cannot be read"),
            }
        }
        None if uri.contains(':') => {
            return refused(
                "it is a store of its own, and Fovea uploads only through the server or into a folder of this machine",
            );
        }
        None => PathBuf::from(uri),
    };
    if !folder.is_absolute() {
        return refused("the folder is relative to where the server was started");
    }
    // `.../EXPERIMENT/RUN/artifacts`: MLflow makes the last two with the first artifact, and the experiment's with the first run.
    if folder.ancestors().take(4).any(|folder| folder.parent().is_some() && folder.is_dir()) {
        Ok(Store::Folder(folder))
    } else {
        refused("there is no such folder on this machine")
    }
}

/// Every file in a file or folder with its name as an artifact, in the order of names.
fn collect(from: &Path, to: &str, files: &mut Vec<(PathBuf, String)>) -> Result<(), MlflowError> {
    let kind = fs::symlink_metadata(from).map_err(MlflowError::io("read", from))?;
    if kind.is_file() {
        files.push((from.to_owned(), to.to_owned()));
        return Ok(());
    }
    if !kind.is_dir() {
        let strange =
            io::Error::new(io::ErrorKind::InvalidInput, "it is neither a file nor a folder; upload what it stands for");
        return Err(MlflowError::io("upload", from)(strange));
    }
    let read = |e| MlflowError::io("read", from)(e);
    let mut names = Vec::new();
    for entry in fs::read_dir(from).map_err(read)? {
        names.push(entry.map_err(read)?.file_name());
    }
    names.sort();
    for name in names {
        let Some(text) = name.to_str() else {
            let name = name.to_string_lossy().into_owned();
            return Err(MlflowError::Name { what: "artifact", name, why: "the name is not UTF-8" });
        };
        let to = if to.is_empty() { text.to_owned() } else { format!("{to}/{text}") };
        collect(&from.join(&name), &to, files)?;
    }
    Ok(())
}

/// An artifact's name must stay inside the run.
pub(super) fn checked(name: &str) -> Result<(), MlflowError> {
    let plain = Path::new(name).components().all(|part| matches!(part, Component::Normal(_)));
    let tidy = name.split('/').all(|part| !part.is_empty() && part != ".") && !name.contains('\\');
    if plain && tidy {
        return Ok(());
    }
    Err(MlflowError::Name {
        what: "artifact",
        name: name.to_owned(),
        why: "it is no plain relative path, such as reports/study.html",
    })
}

fn decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, after)) = rest.split_first() {
        if first == b'%' {
            let digits = std::str::from_utf8(after.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &after[2..];
        } else {
            bytes.push(first);
            rest = after;
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stores_are_told_apart() {
        let here = tempfile::tempdir().unwrap();
        let root = here.path().join("a b");
        fs::create_dir(&root).unwrap();
        let run = root.join("1/abc/artifacts");
        let proxied = |path: &str| Some(Store::Proxied(path.to_owned()));
        let folder = Some(Store::Folder(run.clone()));
        for (uri, expected) in [
            ("mlflow-artifacts:/1/abc/artifacts".to_owned(), proxied("1/abc/artifacts")),
            ("mlflow-artifacts://host:5000/1/abc/artifacts".to_owned(), proxied("1/abc/artifacts")),
            ("mlflow-artifacts:///1/abc/artifacts".to_owned(), proxied("1/abc/artifacts")),
            ("mlflow-artifacts://other:5000/1/abc/artifacts".to_owned(), None),
            (run.display().to_string(), folder),
            (format!("file://{}", run.display().to_string().replace(' ', "%20")), Some(Store::Folder(run.clone()))),
            ("file:///nowhere/at/all/1/abc/artifacts".to_owned(), None),
            ("file:///%zz".to_owned(), None),
            ("/nowhere/1/abc/artifacts".to_owned(), None),
            ("./mlruns/1/abc/artifacts".to_owned(), None),
            ("s3://bucket/1/abc/artifacts".to_owned(), None),
            ("dbfs:/1/abc".to_owned(), None),
        ] {
            match (store_of(&uri, "host:5000"), expected) {
                (Ok(found), Some(expected)) => assert_eq!(found, expected, "{uri}"),
                (Err(error), None) => assert!(error.to_string().contains(&uri), "{error}"),
                (found, expected) => panic!("{uri}: {found:?} instead of {expected:?}"),
            }
        }
    }

    #[test]
    fn names_stay_inside() {
        for name in ["model.onnx", "a/b c/d.html", "..a"] {
            checked(name).unwrap();
        }
        for name in ["", "/a", "a//b", "a/", "../a", "a/../b", "./a", "a/./b", "a\\b"] {
            assert!(checked(name).is_err(), "{name}");
        }
    }
}
