//! The files of a run. Answers go into OUTPUT.partial, of rows the errors into OUTPUT.errors.jsonl.partial; from time to time both
//! are brought to the disk and OUTPUT.partial.json says how far they are. Whatever ends the process, what lies behind that is cut
//! off and scored again. At the end the files get their names, where nothing has them.

use std::{
    ffi::OsString,
    fs::{self, File, OpenOptions, TryLockError},
    io::{self, BufWriter, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use files::atomic;

use super::{
    error::ScoreError,
    format::Line,
    state::{MadeFrom, Reached, State},
};

/// Shortest time between two states.
const SOONEST: Duration = Duration::from_millis(200);
/// A state takes at most this share of the time.
const SHARE: u32 = 20;

/// The names of a run's files.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    output: PathBuf,
    /// Of rows only.
    errors: Option<PathBuf>,
    state: PathBuf,
}

fn with(path: &Path, ending: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(ending);
    name.into()
}

fn partial(path: &Path) -> PathBuf {
    with(path, ".partial")
}

/// Whether something has this name, be it a link that leads nowhere.
fn is_taken(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

impl Paths {
    /// Of this output. `apart`: errors go into a file of their own.
    ///
    /// # Errors
    /// It names no file, or its folder is not there.
    pub(super) fn new(output: &Path, apart: bool) -> Result<Self, ScoreError> {
        if output.file_name().is_none() {
            return Err(ScoreError::in_the_way(output, "names no file; name one, such as predictions.jsonl"));
        }
        let paths = Self {
            output: output.to_owned(),
            errors: apart.then(|| with(output, ".errors.jsonl")),
            state: with(output, ".partial.json"),
        };
        if !paths.folder().is_dir() {
            return Err(ScoreError::in_the_way(
                paths.folder(),
                "is no folder, so no output can be written into it; make it",
            ));
        }
        Ok(paths)
    }

    /// The folder that all of them lie in.
    pub(super) fn folder(&self) -> &Path {
        self.output.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
    }

    fn finals(&self) -> impl Iterator<Item = &Path> {
        [Some(&self.output), self.errors.as_ref()].into_iter().flatten().map(PathBuf::as_path)
    }

    /// Whether a run may begin or, with `resume`, go on here; the state it left. Looks only.
    ///
    /// # Errors
    /// Something is in the way.
    pub(super) fn check(&self, resume: bool) -> Result<Option<State>, ScoreError> {
        let left = State::read(&self.state)?;
        if left.as_ref().is_some_and(|left| resume && left.reached.complete) {
            // Killed between its names.
            return Ok(left);
        }
        if let Some(path) = self.finals().find(|path| is_taken(path)) {
            let why = "is there already, and nothing is overwritten; choose another output, or move it away";
            return Err(ScoreError::in_the_way(path, why));
        }
        match &left {
            Some(_) if !resume => {
                let why =
                    "is of a run that ended early; go on with --resume, or remove it and the .partial file beside it";
                Err(ScoreError::in_the_way(&self.state, why))
            }
            Some(_) => Ok(left),
            None => match self.finals().map(partial).find(|path| is_taken(path)) {
                Some(path) => {
                    let why = "is there already and of no run that could go on; choose another output, or move it away";
                    Err(ScoreError::in_the_way(&path, why))
                }
                None => Ok(None),
            },
        }
    }
}

/// One file that grows.
struct Growing {
    path: PathBuf,
    file: BufWriter<File>,
    bytes: u64,
}

impl Growing {
    /// Opens it and cuts off what lies behind `bytes`; where nothing may be there yet, it `begins`. It belongs to this process from then
    /// on.
    fn open(path: PathBuf, bytes: u64, begins: bool) -> Result<Self, ScoreError> {
        let opened =
            OpenOptions::new().read(true).write(true).create(true).create_new(begins).truncate(false).open(&path);
        let mut file = opened.map_err(ScoreError::io("write", &path))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let why = "is being written by another process; wait for it, or choose another output";
                return Err(ScoreError::in_the_way(&path, why));
            }
            Err(TryLockError::Error(error)) => return Err(ScoreError::io("lock", &path)(error)),
        }
        let found = file.metadata().map_err(ScoreError::io("read", &path))?.len();
        if found < bytes {
            let why =
                format!("has {found} bytes where the run had written {bytes}; remove it and its state to begin again");
            return Err(ScoreError::in_the_way(&path, why));
        }
        let cut = file.set_len(bytes).and_then(|()| file.seek(SeekFrom::End(0)));
        cut.map_err(ScoreError::io("write", &path))?;
        Ok(Self { path, file: BufWriter::with_capacity(1 << 18, file), bytes })
    }

    fn add(&mut self, text: &str) -> Result<(), ScoreError> {
        self.bytes += text.len() as u64;
        self.file.write_all(text.as_bytes()).map_err(ScoreError::io("write", &self.path))
    }

    /// Brings it to the disk.
    fn settle(&mut self) -> Result<(), ScoreError> {
        let settled = self.file.flush().and_then(|()| self.file.get_ref().sync_data());
        settled.map_err(ScoreError::io("write", &self.path))
    }
}

/// The files of a run under way.
pub(super) struct Output {
    paths: Paths,
    output: Growing,
    errors: Option<Growing>,
    state: State,
    /// When the next state is due.
    due: Instant,
}

/// A run's files, or one that only wanted their names.
pub(super) enum Begun {
    /// Images are to be scored.
    Open(Box<Output>),
    /// It was complete, and now has its names.
    Complete(Reached),
}

impl Output {
    /// Begins, or goes on where `left` says.
    ///
    /// # Errors
    /// `left` was made otherwise, another process is at it, or the system refuses.
    pub(super) fn begin(paths: Paths, left: Option<State>, made_from: MadeFrom) -> Result<Begun, ScoreError> {
        if let Some(left) = &left {
            left.check(&paths.state, &made_from)?;
            if left.reached.complete {
                name_all(&paths, &left.reached)?;
                return Ok(Begun::Complete(left.reached));
            }
        }
        let begins = left.is_none();
        let state = left.unwrap_or_else(|| State::new(made_from));
        // First of all: whatever ends the process, the files beside it are those of a run.
        state.write(&paths.state)?;
        let Reached { output_bytes, error_bytes, .. } = state.reached;
        let output = Growing::open(partial(&paths.output), output_bytes, begins)?;
        let errors = paths.errors.as_deref().map(|path| Growing::open(partial(path), error_bytes, begins));
        let errors = errors.transpose()?;
        Ok(Begun::Open(Box::new(Self { paths, output, errors, state, due: Instant::now() + SOONEST })))
    }

    /// How far it is.
    pub(super) fn reached(&self) -> Reached {
        self.state.reached
    }

    /// Adds the lines of one batch.
    ///
    /// # Errors
    /// The disk is full, for example.
    pub(super) fn add(&mut self, lines: &[Line]) -> Result<(), ScoreError> {
        for line in lines {
            match (&mut self.errors, line.failed) {
                (Some(errors), true) => errors.add(&line.text)?,
                (Some(_) | None, false) | (None, true) => self.output.add(&line.text)?,
            }
        }
        let failed = lines.iter().filter(|line| line.failed).count() as u64;
        let Reached { images, failed: before, complete, .. } = self.state.reached;
        self.state.reached = Reached {
            images: images + lines.len() as u64,
            failed: before + failed,
            output_bytes: self.output.bytes,
            error_bytes: self.errors.as_ref().map_or(0, |errors| errors.bytes),
            complete,
        };
        if Instant::now() >= self.due { self.save() } else { Ok(()) }
    }

    /// Brings everything to the disk and says how far it is.
    ///
    /// # Errors
    /// As [`Self::add`].
    pub(super) fn save(&mut self) -> Result<(), ScoreError> {
        let start = Instant::now();
        self.output.settle()?;
        self.errors.as_mut().map_or(Ok(()), Growing::settle)?;
        self.state.write(&self.paths.state)?;
        self.due = Instant::now() + (start.elapsed() * SHARE).max(SOONEST);
        Ok(())
    }

    /// Gives the files their names.
    ///
    /// # Errors
    /// As [`Self::add`]; something has taken a name in the meantime.
    pub(super) fn finish(mut self) -> Result<Reached, ScoreError> {
        self.state.reached.complete = true;
        self.save()?;
        name_all(&self.paths, &self.state.reached)?;
        Ok(self.state.reached)
    }
}

/// Names what has no name yet, errors first, and removes the state. A list without an error is none.
fn name_all(paths: &Paths, reached: &Reached) -> Result<(), ScoreError> {
    if let Some(errors) = &paths.errors {
        match reached.error_bytes {
            0 => remove(&partial(errors))?,
            _ => name(errors)?,
        }
    }
    name(&paths.output)?;
    remove(&paths.state)
}

fn name(path: &Path) -> Result<(), ScoreError> {
    let made = partial(path);
    match atomic::give_name(&made, path) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::NotFound && !is_taken(&made) && is_taken(path) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            let why = format!("is there already; the result is complete in {}: move one of them away", made.display());
            Err(ScoreError::in_the_way(path, why))
        }
        Err(error) => Err(ScoreError::io("write", path)(error)),
    }
}

fn remove(path: &Path) -> Result<(), ScoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(ScoreError::io("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(text: &str, failed: bool) -> Line {
        Line { text: format!("{text}\n"), failed }
    }

    fn begin(path: &Path, resume: bool) -> Result<Box<Output>, ScoreError> {
        let paths = Paths::new(path, true)?;
        let left = paths.check(resume)?;
        match Output::begin(paths, left, MadeFrom::new())? {
            Begun::Open(output) => Ok(output),
            Begun::Complete(reached) => panic!("{reached:?}"),
        }
    }

    #[test]
    fn what_lies_behind_the_state_is_cut_off() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let mut output = begin(&path, false).unwrap();
        output.add(&[line("one", false), line("bad", true)]).unwrap();
        output.save().unwrap();
        output.due = Instant::now() + Duration::from_secs(600);
        output.add(&[line("two", false)]).unwrap();
        output.output.settle().unwrap();
        // As a kill leaves it.
        drop(output);
        assert_eq!(fs::read(partial(&path)).unwrap(), b"one\ntwo\n");
        assert!(begin(&path, false).is_err(), "without --resume");
        let mut output = begin(&path, true).unwrap();
        assert_eq!((output.reached().images, output.reached().failed), (2, 1));
        assert!(begin(&path, true).is_err_and(|error| error.to_string().contains("another process")));
        output.add(&[line("three", false)]).unwrap();
        let reached = output.finish().unwrap();
        assert_eq!((reached.images, reached.failed, reached.complete), (3, 1, true));
        assert_eq!(fs::read(&path).unwrap(), b"one\nthree\n");
        assert_eq!(fs::read(with(&path, ".errors.jsonl")).unwrap(), b"bad\n");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_run_that_was_killed_between_its_names_gets_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        let mut output = begin(&path, false).unwrap();
        output.add(&[line("one", false), line("bad", true)]).unwrap();
        output.state.reached.complete = true;
        output.save().unwrap();
        drop(output);
        name(&with(&path, ".errors.jsonl")).unwrap();
        let paths = Paths::new(&path, true).unwrap();
        let left = paths.check(true).unwrap();
        let Begun::Complete(reached) = Output::begin(paths, left, MadeFrom::new()).unwrap() else {
            panic!("not complete")
        };
        assert_eq!(reached.images, 2);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }

    #[test]
    fn nothing_of_the_users_is_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("out.jsonl");
        for taken in [path.clone(), with(&path, ".errors.jsonl"), partial(&path), with(&path, ".partial.json")] {
            fs::write(&taken, "mine").unwrap();
            for resume in [false, true] {
                assert!(begin(&path, resume).is_err(), "{taken:?}");
            }
            assert_eq!(fs::read(&taken).unwrap(), b"mine");
            fs::remove_file(taken).unwrap();
        }
        // An empty file is somebody's, too.
        fs::write(partial(&path), "").unwrap();
        assert!(begin(&path, false).is_err() && begin(&path, true).is_err());
        fs::remove_file(partial(&path)).unwrap();
        // A run that was killed before it had made its files goes on.
        State::new(MadeFrom::new()).write(&with(&path, ".partial.json")).unwrap();
        assert!(begin(&path, true).is_ok());
        fs::remove_file(partial(&path)).unwrap();
        assert!(Paths::new(&folder.path().join("absent/out.jsonl"), false).is_err());
        assert!(Paths::new(Path::new("/"), false).is_err());
    }
}
