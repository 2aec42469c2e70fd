//! What a command is asked to write, and whether it may: the one rule of ownership.
//!
//! A file is written where nothing is. With `--overwrite` it may also replace a file that the folder's [`Manifest`] lists and
//! whose contents are still what was written. Anything else stays as it is and nothing at all is written: all outputs of a
//! command are checked before the first is made. Symbolic links below the folder make nothing ours.

use std::collections::BTreeSet;
use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::digest;
use crate::error::{OutputError, Why};
use crate::manifest::{FILE, Manifest, STAGING, is_absent, is_within};

/// What a command was told.
///
/// ```
/// use std::io::Write;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// let output = folder.path().join("numbers.txt");
/// let order = files::Order { command: "example", output: &output, overwrite: false, reads: &[] };
/// let mut writing = order.file()?.begin()?; // checked: nothing is in the way
/// writing.write("numbers.txt", |out| writeln!(out, "1 2 3"))?;
/// writing.publish()?; // now the file has its name
/// assert_eq!(std::fs::read_to_string(&output)?, "1 2 3\n");
/// assert!(order.file().is_err()); // what is there stays, unless `overwrite` is given
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug)]
pub struct Order<'a> {
    /// The command, such as `convert csv`; recorded.
    pub command: &'a str,
    /// The file or folder to write.
    pub output: &'a Path,
    /// Whether files that were written before may be replaced.
    pub overwrite: bool,
    /// Files that the command reads: it neither overwrites nor removes them.
    pub reads: &'a [PathBuf],
}

/// What one write has to do with earlier ones of the same command to the same output.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scope {
    /// They make one thing: overwriting removes whatever else of it was written earlier.
    Whole,
    /// The files of one write belong together: overwriting one of them removes the others.
    Parts,
    /// Each file stands alone.
    Each,
}

/// A file to be written.
#[derive(Clone, Debug)]
pub struct Target {
    /// Path within the folder.
    pub name: PathBuf,
    /// The file it will be a copy of. Where that is the very file already in its place, it is left there.
    pub from: Option<PathBuf>,
}

impl Target {
    /// A file with contents of its own.
    pub fn new(name: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), from: None }
    }

    /// A copy of another file.
    pub fn copy(name: impl Into<PathBuf>, from: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), from: Some(from.into()) }
    }
}

/// What happens to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Act {
    /// Nothing is there.
    Create,
    /// A file of ours is there.
    Replace,
    /// The file itself is there already.
    Leave,
}

/// A file that may be written.
#[derive(Clone, Debug)]
pub(crate) struct Planned {
    pub name: PathBuf,
    pub act: Act,
}

/// Device and number of a file: the same under whatever name.
pub(crate) type Identity = (u64, u64);

/// An order whose outputs may all be written, as far as could be seen. Nothing has been written yet.
#[derive(Debug)]
pub struct Checked {
    pub(crate) command: String,
    /// The folder whose manifest lists the files.
    pub(crate) root: PathBuf,
    /// `.`, or the name of the file.
    pub(crate) output: String,
    pub(crate) overwrite: bool,
    pub(crate) scope: Scope,
    pub(crate) targets: Vec<Planned>,
    pub(crate) reads: BTreeSet<Identity>,
}

impl Order<'_> {
    /// Checks that the file `output` may be written.
    ///
    /// # Errors
    /// When something is in the way, or cannot be looked at.
    pub fn file(&self) -> Result<Checked, OutputError> {
        let name = self.output.file_name().ok_or_else(|| OutputError::one(self.output, Why::Nameless))?;
        let root = self.output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let output = name.to_string_lossy().into_owned();
        self.check(root, output, Scope::Each, &[Target::new(name)])
    }

    /// Checks that the file `output`, and others beside it that belong to it, may be written. Those that an earlier write
    /// made beside it, and this one does not, are removed.
    ///
    /// # Errors
    /// When something is in the way of one of them, or cannot be looked at.
    pub fn file_with(&self, beside: &[Target]) -> Result<Checked, OutputError> {
        let name = self.output.file_name().ok_or_else(|| OutputError::one(self.output, Why::Nameless))?;
        let root = self.output.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let targets: Vec<Target> = std::iter::once(Target::new(name)).chain(beside.iter().cloned()).collect();
        self.check(root, name.to_string_lossy().into_owned(), Scope::Parts, &targets)
    }

    /// Checks that these files may be written into the folder `output`.
    ///
    /// # Errors
    /// When something is in the way of one of them, or cannot be looked at.
    pub fn folder(&self, scope: Scope, targets: &[Target]) -> Result<Checked, OutputError> {
        if self.output.as_os_str().is_empty() {
            return Err(OutputError::one(self.output, Why::Nameless));
        }
        self.check(self.output, ".".to_owned(), scope, targets)
    }

    fn check(&self, root: &Path, output: String, scope: Scope, targets: &[Target]) -> Result<Checked, OutputError> {
        usable(root)?;
        let manifest = Manifest::read(root)?;
        let sources = targets.iter().filter_map(|target| target.from.as_ref());
        let reads = self.reads.iter().chain(sources).filter_map(|path| fs::metadata(path).ok());
        let reads: BTreeSet<Identity> = reads.map(|found| identity(&found)).collect();
        let place = Place { root, manifest: &manifest, reads: &reads };
        let mut names = BTreeSet::new();
        let (mut planned, mut refused) = (Vec::with_capacity(targets.len()), Vec::new());
        for Target { name, from } in targets {
            let act = if !names.insert(name.to_string_lossy().to_lowercase()) {
                Err((root.join(name), Why::Twice))
            } else if is_reserved(name) {
                Err((root.join(name), Why::Reserved))
            } else {
                self.act(&place, name, from.as_deref())?
            };
            match act {
                Ok(act) => planned.push(Planned { name: name.clone(), act }),
                Err(why) => refused.push(why),
            }
        }
        let more = refused.len().saturating_sub(1);
        if let Some((path, why)) = refused.into_iter().next() {
            return Err(OutputError::InTheWay { path, why, more });
        }
        let (command, root) = (self.command.to_owned(), root.to_owned());
        Ok(Checked { command, root, output, overwrite: self.overwrite, scope, targets: planned, reads })
    }

    fn act(&self, place: &Place, name: &Path, from: Option<&Path>) -> Result<Result<Act, (PathBuf, Why)>, OutputError> {
        let target = place.root.join(name);
        let same = |from: &Path| Some(identity(&fs::metadata(from).ok()?) == identity(&fs::metadata(&target).ok()?));
        if from.and_then(same) == Some(true) {
            return Ok(Ok(Act::Leave));
        }
        let listed = || name.to_str().and_then(|name| place.manifest.entries(name).next());
        Ok(match place.standing(name)? {
            Standing::Free => Ok(Act::Create),
            Standing::Ours(found) if place.reads.contains(&found) => Err((target, Why::Read)),
            Standing::Ours(_) if self.overwrite => Ok(Act::Replace),
            Standing::Ours(_) => {
                Err((target, Why::Ours(listed().map(|(write, _)| write.command.clone()).unwrap_or_default())))
            }
            Standing::Theirs(path, why) => Err((path, why)),
        })
    }
}

/// A folder, what was written into it, and what is read from it.
pub(crate) struct Place<'a> {
    pub root: &'a Path,
    pub manifest: &'a Manifest,
    pub reads: &'a BTreeSet<Identity>,
}

/// Whose a path is.
pub(crate) enum Standing {
    /// Nothing is there.
    Free,
    /// A file that we wrote and nobody changed.
    Ours(Identity),
    /// Something else, at this path.
    Theirs(PathBuf, Why),
}

impl Place<'_> {
    /// Whose the file of this name is. No symbolic link is followed below the folder.
    pub fn standing(&self, name: &Path) -> Result<Standing, OutputError> {
        let folders = name.parent().map(|parent| parent.components().count()).unwrap_or_default();
        let mut path = self.root.to_owned();
        for (depth, part) in name.components().enumerate() {
            path.push(part);
            let found = match fs::symlink_metadata(&path) {
                Ok(found) => found,
                Err(error) if is_absent(&error) => return Ok(Standing::Free),
                Err(error) => return Err(OutputError::io("look at", &path)(error)),
            };
            let kind = found.file_type();
            let why = match depth < folders {
                _ if kind.is_symlink() => Why::Link,
                true if kind.is_dir() => continue,
                true => Why::File,
                false if kind.is_dir() => Why::Folder,
                false if !kind.is_file() => Why::Special,
                false => return self.of_file(name, path, &found),
            };
            return Ok(Standing::Theirs(path, why));
        }
        Ok(Standing::Theirs(path, Why::Folder))
    }

    fn of_file(&self, name: &Path, path: PathBuf, found: &Metadata) -> Result<Standing, OutputError> {
        let mut listed = name.to_str().into_iter().flat_map(|name| self.manifest.entries(name)).peekable();
        let Some((last, _)) = listed.peek() else { return Ok(Standing::Theirs(path, Why::NotOurs)) };
        let command = last.command.clone();
        let sha256 = digest::of_file(&path).map_err(OutputError::io("read", &path))?;
        Ok(match listed.find(|(_, entry)| entry.sha256 == sha256) {
            None => Standing::Theirs(path, Why::Changed(command)),
            // The image it was a link to is gone: this is the image now.
            Some((_, entry)) if entry.linked && found.nlink() < 2 => Standing::Theirs(path, Why::LastLink),
            Some(_) => Standing::Ours(identity(found)),
        })
    }
}

pub(crate) fn identity(found: &Metadata) -> Identity {
    (found.dev(), found.ino())
}

/// Names that are kept for the record and for files under way.
fn is_reserved(name: &Path) -> bool {
    let reserved = |part: &str| part == FILE || part.starts_with(STAGING);
    !name.to_str().is_none_or(is_within) || name.iter().any(|part| reserved(&part.to_string_lossy().to_lowercase()))
}

/// Checks that a folder is one, or can be made.
fn usable(root: &Path) -> Result<(), OutputError> {
    for path in root.ancestors().filter(|path| !path.as_os_str().is_empty()) {
        match fs::metadata(path) {
            Ok(found) if found.is_dir() => return Ok(()),
            Ok(_) => return Err(OutputError::one(path, Why::File)),
            Err(error) if is_absent(&error) => {}
            Err(error) => return Err(OutputError::io("look at", path)(error)),
        }
        if path.is_symlink() {
            // It leads nowhere.
            return Err(OutputError::one(path, Why::Link));
        }
    }
    Ok(())
}
