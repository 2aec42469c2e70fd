//! A run on disk: where everything lies, that two runs never share a folder, and that a run is written over nothing else.
//!
//! A new run goes into a folder that is not there or is empty. The first thing written there is the folder's record
//! ([`Manifest`]), which says that a run was started; until its first checkpoint is written there is nothing to lose, and what
//! such a start left counts as nothing, as long as all of it is known to be the start's. From then on the folder is the
//! run's, whatever is deleted from it.

use std::collections::BTreeMap;
use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use anyhow::Context;
use files::{Checked, Manifest, Order, OutputError, Scope, Start, Target, atomic, manifest};
use schemas::error::ErrorCode;

use crate::failure::fail;

/// File names of the report, and of the numbers behind it.
const RESULTS: [&str; 2] = ["report.html", "report.json"];
/// The file that is locked while a run is under way.
const LOCK: &str = "run.lock";

/// The folder of one run, locked while this value lives.
pub struct RunFolder {
    root: PathBuf,
    begun: bool,
    options: BTreeMap<String, String>,
    /// Whether the folder itself was made for the run.
    made: bool,
    _lock: File,
}

/// What a folder holds.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// Nothing, or what a start left that never came to a checkpoint.
    Free,
    /// A run.
    Begun,
    /// Something else, such as this file.
    Strange(PathBuf),
}

impl RunFolder {
    /// Opens a folder for a new run, or, with `resume`, for the run it holds. A start that never came to its first checkpoint
    /// may be repeated either way.
    ///
    /// # Errors
    /// When another process uses the folder, when it holds a run or anything else that a new run would write over, or when
    /// there is nothing to resume.
    pub fn open(root: &Path, resume: bool) -> anyhow::Result<Self> {
        if resume && !root.exists() {
            return Err(fail(ErrorCode::FileNotFound, format!("{} does not exist: nothing to resume", root.display())));
        }
        check(root, resume)?;
        let made = !root.exists();
        fs::create_dir_all(root).with_context(|| format!("creating {}", root.display()))?;
        // The record first: whatever else is found here is then known to be of a run.
        let record = Manifest::read(root)?;
        if record.run.is_none() && state(root)? == State::Free {
            Manifest::set_run(root, Some(Start::default()))?;
        }
        let lock = lock(root)?;
        // Another process may have begun a run before the folder was locked.
        let begun = check(root, resume)? == State::Begun;
        let options = Manifest::read(root)?.run.unwrap_or_default().options;
        let folder = Self { root: root.into(), begun, options, made, _lock: lock };
        folder.sweep().with_context(|| format!("removing temporary files from {}", root.display()))?;
        Ok(folder)
    }

    /// Whether a folder is that of a run of ours.
    #[must_use]
    pub fn is_run(root: &Path) -> bool {
        Manifest::read(root).is_ok_and(|record| record.run.is_some())
    }

    /// Whether a process works on the run in a folder.
    #[must_use]
    pub fn is_in_use(root: &Path) -> bool {
        let lock = File::open(root.join(LOCK));
        lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
    }

    /// Keeps others from the run in a folder for as long as the value lives.
    ///
    /// # Errors
    /// When another process uses it.
    pub fn hold(root: &Path) -> anyhow::Result<File> {
        lock(root)
    }

    /// Whether the folder holds a run to go on with, as opposed to none yet.
    #[must_use]
    pub fn begun(&self) -> bool {
        self.begun
    }

    /// Options that the run was started with and its plan does not have, by name.
    #[must_use]
    pub fn options(&self) -> &BTreeMap<String, String> {
        &self.options
    }

    /// Records such options; the run has not begun.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn set_options(&self, options: BTreeMap<String, String>) -> Result<(), OutputError> {
        Manifest::set_run(&self.root, Some(Start { begun: false, options }))
    }

    /// Records that the first checkpoint is written: from here on the folder holds a run.
    ///
    /// # Errors
    /// When the record cannot be written.
    pub fn set_begun(&self) -> Result<(), OutputError> {
        let options = Manifest::read(&self.root)?.run.unwrap_or_default().options;
        Manifest::set_run(&self.root, Some(Start { begun: true, options }))
    }

    /// Checks that what a start writes, the data as used and the plan, may be written.
    ///
    /// # Errors
    /// When something is in the way.
    pub fn start_files(&self, data: &[&str]) -> Result<Checked, OutputError> {
        let data = data.iter().map(|name| Target::new(Path::new("data").join(name)));
        let targets: Vec<Target> = data.chain([Target::new("plan.json")]).collect();
        self.order().folder(Scope::Each, &targets)
    }

    /// Checks that the report may be written: it is not there, or as an earlier end of the run left it.
    ///
    /// # Errors
    /// When something is in the way.
    pub fn results(&self) -> Result<Checked, OutputError> {
        self.order().folder(Scope::Each, &RESULTS.map(Target::new))
    }

    fn order(&self) -> Order<'_> {
        Order { command: "train", output: &self.root, overwrite: true, reads: &[] }
    }

    /// Removes what killed writes left; nobody else writes here while the folder is locked.
    fn sweep(&self) -> io::Result<()> {
        let mut folders = vec![self.root.clone(), self.data(), self.data().join("fetched")];
        if let Ok(entries) = fs::read_dir(self.root.join("checkpoints")) {
            let real = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
            folders.extend(entries.flatten().filter(real).map(|entry| entry.path()));
        }
        folders.iter().filter(|folder| !folder.is_symlink()).try_for_each(|folder| atomic::sweep(folder))
    }

    /// The folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The resolved plan.
    #[must_use]
    pub fn plan(&self) -> PathBuf {
        self.root.join("plan.json")
    }

    /// Data as used, and rejected rows.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    /// One line per epoch.
    #[must_use]
    pub fn metrics(&self) -> PathBuf {
        self.root.join("metrics.jsonl")
    }

    /// Events as they happened, resumes included; only ever appended to.
    #[must_use]
    pub fn journal(&self) -> PathBuf {
        self.root.join("journal.jsonl")
    }

    /// The best model.
    #[must_use]
    pub fn best(&self) -> PathBuf {
        self.root.join("checkpoints/best")
    }

    /// What a resume needs.
    #[must_use]
    pub fn last(&self) -> PathBuf {
        self.root.join("checkpoints/last")
    }

    /// Model of one epoch, written when `checkpoint_frequency` asks for it.
    #[must_use]
    pub fn epoch(&self, epoch: u32) -> PathBuf {
        self.root.join(format!("checkpoints/epoch-{epoch:04}"))
    }

    /// Images and curves.
    #[must_use]
    pub fn report(&self) -> PathBuf {
        self.root.join("report.html")
    }

    /// The numbers behind them.
    #[must_use]
    pub fn report_data(&self) -> PathBuf {
        self.root.join("report.json")
    }

    /// Everything that was logged.
    #[must_use]
    pub fn log(&self) -> PathBuf {
        self.root.join("run.log")
    }
}

/// A start that failed before it wrote anything leaves nothing.
impl Drop for RunFolder {
    fn drop(&mut self) {
        if !Manifest::read(&self.root).is_ok_and(|record| record.is_bare_start()) {
            return;
        }
        // Only what stands alone: images that were fetched are worth keeping for the next start.
        let names = fs::read_dir(&self.root).into_iter().flatten().flatten().map(|entry| entry.file_name());
        if names.into_iter().all(|name| name == LOCK || name == manifest::FILE) {
            let _ = fs::remove_file(self.root.join(LOCK));
            let _ = Manifest::set_run(&self.root, None);
            if self.made {
                let _ = fs::remove_dir(&self.root);
            }
        }
    }
}

/// Locks a run folder.
fn lock(root: &Path) -> anyhow::Result<File> {
    let path = root.join(LOCK);
    loop {
        let lock = File::options().create(true).truncate(false).write(true).open(&path);
        let lock = lock.with_context(|| format!("creating {}", path.display()))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let message = format!("{} is in use by another process; wait for it or stop it", root.display());
                return Err(fail(ErrorCode::OutputInUse, message));
            }
            Err(TryLockError::Error(e)) => return Err(e).with_context(|| format!("locking {}", path.display())),
        }
        // A failed start removes its lock: the file that was locked must be the one that others see.
        let (ours, seen) = (lock.metadata()?, fs::symlink_metadata(&path));
        if seen.is_ok_and(|seen| (seen.dev(), seen.ino()) == (ours.dev(), ours.ino())) {
            return Ok(lock);
        }
    }
}

/// Whether a run may be begun or resumed in a folder.
fn check(root: &Path, resume: bool) -> anyhow::Result<State> {
    let (place, found) = (root.display(), state(root)?);
    let last = root.join("checkpoints/last/model.safetensors").is_file();
    let advice = match (&found, resume) {
        (State::Free, _) => return Ok(found),
        (State::Begun, true) if last => return Ok(found),
        (State::Begun, false) if last => {
            "already holds a run; continue it with --resume, or choose another --output".to_owned()
        }
        (State::Begun, true) => format!(
            "holds a run whose last checkpoint (checkpoints/last/model.safetensors) is missing, so that it cannot go on; \
             to go on from a model of it that is left, start another run: --output ELSEWHERE --checkpoint_run {place}"
        ),
        (State::Begun, false) => {
            "already holds a run, of which the last checkpoint is missing; choose another --output, or delete the folder \
             yourself if nothing in it is needed"
                .to_owned()
        }
        (State::Strange(path), true) => {
            format!("holds no run to resume, but other files, such as {}; name the folder of a run", path.display())
        }
        (State::Strange(path), false) => format!(
            "is not empty: {} was not written by a run; choose an --output that is not there yet, or an empty folder",
            path.display()
        ),
    };
    Err(fail(ErrorCode::OutputInUse, format!("{place} {advice}")))
}

fn state(root: &Path) -> anyhow::Result<State> {
    match fs::metadata(root) {
        Ok(found) if !found.is_dir() => {
            let message = format!("{} is a file; --output is a folder", root.display());
            return Err(fail(ErrorCode::OutputInUse, message));
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound && !root.is_symlink() => return Ok(State::Free),
        Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
            let message = format!("{} cannot be a folder: a part of this path is a file", root.display());
            return Err(fail(ErrorCode::OutputInUse, message));
        }
        Err(error) => return Err(error).with_context(|| format!("looking at {}", root.display())),
    }
    let record = Manifest::read(root)?;
    let begun = record.run.as_ref().map(|run| run.begun);
    let has_last = root.join("checkpoints/last/model.safetensors").is_file();
    // (A kill may come between a first checkpoint and its mention in the record.)
    if begun == Some(true) || has_last && (begun.is_some() || root.join("plan.json").is_file()) {
        return Ok(State::Begun);
    }
    let nothing = |_: &Path| false;
    // Without the word of the record that a run was started, a name proves nothing.
    let strange = match begun {
        Some(_) => files::first_strange(root, &record, &is_of_a_start)?,
        None => files::first_strange(root, &Manifest::default(), &nothing)?,
    };
    // A record alone says that something else was written here.
    let strange = strange.or_else(|| (begun.is_none() && Manifest::is_in(root)).then(|| root.join(manifest::FILE)));
    Ok(strange.map_or(State::Free, State::Strange))
}

/// Whether a file is one that a start makes and never replaces, and has a name that nothing else has.
fn is_of_a_start(within: &Path) -> bool {
    let name = within.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let is_sum = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    match within.parent().and_then(Path::to_str) {
        Some("") => name == LOCK,
        Some("data/fetched") => is_sum,
        Some("tensorboard") => name.starts_with("events.out.tfevents.") && name.ends_with(".fovea"),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder, and a path in it that is not there.
    fn place() -> (tempfile::TempDir, PathBuf) {
        let parent = tempfile::tempdir().unwrap();
        let root = parent.path().join("run");
        (parent, root)
    }

    #[track_caller]
    fn refused(root: &Path, resume: bool, part: &str) {
        let error = RunFolder::open(root, resume).err().unwrap().to_string();
        assert!(error.contains(part), "{error}");
    }

    fn put(root: &Path, name: &str) {
        let path = root.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "").unwrap();
    }

    #[test]
    fn a_folder_is_used_by_one_run_at_a_time_and_never_overwritten() {
        let (_parent, root) = place();
        refused(&root, true, "nothing to resume");
        let first = RunFolder::open(&root, false).unwrap();
        refused(&root, false, "in use");
        put(&root, "checkpoints/last/model.safetensors");
        first.set_begun().unwrap();
        drop(first);
        refused(&root, false, "--resume");
        assert!(RunFolder::open(&root, true).unwrap().begun());
        fs::remove_dir_all(root.join("checkpoints/last")).unwrap();
        refused(&root, false, "last checkpoint is missing");
        refused(&root, true, "--checkpoint_run");
    }

    #[test]
    fn what_a_failed_start_leaves_is_nothing() {
        let (_parent, root) = place();
        drop(RunFolder::open(&root, false).unwrap());
        assert!(!root.exists());
        let folder = RunFolder::open(&root, false).unwrap();
        let mut writing = folder.start_files(&["train.jsonl"]).unwrap().begin().unwrap();
        writing.write("data/train.jsonl", |out| out.write_all(b"rows")).unwrap();
        writing.write("plan.json", |out| out.write_all(b"{}")).unwrap();
        writing.publish().unwrap();
        put(&root, "checkpoints/last/.tmp-fovea-aBc123");
        put(&root, "tensorboard/events.out.tfevents.1.fovea");
        drop(folder);
        assert!(!RunFolder::open(&root, false).unwrap().begun());
        assert!(!RunFolder::open(&root, true).unwrap().begun());
        assert!(!root.join("checkpoints/last/.tmp-fovea-aBc123").exists());
        // What was changed since, or was never ours, is somebody's.
        fs::write(root.join("data/train.jsonl"), "rows of mine").unwrap();
        refused(&root, false, "data/train.jsonl");
        fs::write(root.join("data/train.jsonl"), "rows").unwrap();
        put(&root, "run.log");
        refused(&root, false, "run.log");
    }

    #[test]
    fn a_folder_of_something_else_is_left_alone() {
        for name in [
            "report.html",
            "run.lock",
            "plan.json",
            "data/train.jsonl",
            ".hidden",
            "checkpoints/best/model.safetensors",
        ] {
            let (_parent, root) = place();
            put(&root, name);
            refused(&root, false, name);
            refused(&root, true, name);
            assert_eq!(fs::read_dir(&root).unwrap().count(), 1);
        }
        let (_parent, root) = place();
        fs::write(&root, "").unwrap();
        refused(&root, false, "is a file");
        let (_parent, root) = place();
        put(&root, manifest::FILE);
        refused(&root, false, "record");
    }
}
