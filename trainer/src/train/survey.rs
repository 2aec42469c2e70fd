//! What runs there are, and how far each has come; read from their folders, nothing of which is changed.

use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};

use anyhow::Context;
use schemas::Plan;
use schemas::event::{EndReason, PrimaryMetric, RunEvent};

use super::run_folder::RunFolder;

/// Folders of folders that are looked into.
const DEPTH: usize = 6;

/// A run.
#[derive(Debug)]
pub struct Seen {
    /// Its folder.
    pub root: PathBuf,
    /// What was decided.
    pub plan: Plan,
    /// Whether it goes on.
    pub state: State,
    /// Epochs finished.
    pub epochs: u32,
    /// The best epoch, as measured on its way.
    pub best: Option<PrimaryMetric>,
    /// Whether its model was exported.
    pub exported: bool,
    /// Bytes of its files.
    pub bytes: u64,
}

/// Whether a run goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// A process works on it.
    Running,
    /// It was stopped or killed, and can be resumed.
    Interrupted,
    /// It has ended.
    Ended(EndReason),
}

impl State {
    /// In a word or two.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Interrupted => "interrupted",
            Self::Ended(EndReason::Completed) => "completed",
            Self::Ended(EndReason::EarlyStopping) => "stopped early",
            Self::Ended(EndReason::TimeLimit) => "out of time",
        }
    }
}

impl Seen {
    /// The run in a folder.
    ///
    /// # Errors
    /// When the folder is no run, or its files cannot be read.
    pub fn of(root: &Path) -> anyhow::Result<Self> {
        let path = root.join("plan.json");
        let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
        let plan = serde_json::from_str(&text).with_context(|| format!("{} is no plan", path.display()))?;
        let Journal { epochs, best, ended } = Journal::read(&root.join("journal.jsonl"))?;
        let state = match ended {
            _ if RunFolder::is_in_use(root) => State::Running,
            Some(reason) => State::Ended(reason),
            None => State::Interrupted,
        };
        let exported = root.join("checkpoints/best/model.onnx").is_file();
        Ok(Self { root: root.to_owned(), plan, state, epochs, best, exported, bytes: size(root) })
    }
}

/// What a journal comes to.
#[derive(Default)]
struct Journal {
    epochs: u32,
    best: Option<PrimaryMetric>,
    ended: Option<EndReason>,
}

impl Journal {
    /// A line that a crash cut off says nothing, and nor does a journal that is not there yet.
    fn read(path: &Path) -> anyhow::Result<Self> {
        let mut journal = Self::default();
        let Ok(file) = File::open(path) else { return Ok(journal) };
        for line in BufReader::new(file).lines() {
            let line = line.with_context(|| format!("reading {}", path.display()))?;
            let Ok(event) = serde_json::from_str(&line) else { continue };
            match event {
                RunEvent::RunStarted { .. } => journal.ended = None,
                RunEvent::Epoch(record) => journal.epochs = record.epoch,
                RunEvent::PrimaryMetric(metric) => {
                    if journal.best.as_ref().is_none_or(|best| metric.value > best.value) {
                        journal.best = Some(metric);
                    }
                }
                RunEvent::RunFinished { reason, best } => {
                    (journal.best, journal.ended) = (best.or(journal.best), Some(reason));
                }
                RunEvent::RunInterrupted { epoch } => journal.epochs = epoch,
            }
        }
        Ok(journal)
    }
}

/// The runs in a folder and the folders in it, by their paths. Links are not followed; a run whose files cannot be read is an error
/// beside the others.
#[must_use]
pub fn runs(folder: &Path) -> Vec<(PathBuf, anyhow::Result<Seen>)> {
    let mut found = Vec::new();
    collect(folder, DEPTH, &mut found);
    found
}

fn collect(folder: &Path, depth: usize, found: &mut Vec<(PathBuf, anyhow::Result<Seen>)>) {
    // What has begun has a plan; a start that failed before that is no run.
    if RunFolder::is_run(folder) {
        if folder.join("plan.json").is_file() {
            found.push((folder.to_owned(), Seen::of(folder)));
        }
        return;
    }
    if depth > 0 {
        folders(folder).iter().for_each(|below| collect(below, depth - 1, found));
    }
}

/// The folders in a folder, sorted.
fn folders(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let real = |entry: &fs::DirEntry| entry.file_type().is_ok_and(|kind| kind.is_dir());
    let mut folders: Vec<PathBuf> = entries.filter(real).map(|entry| entry.path()).collect();
    folders.sort();
    folders
}

fn size(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let one = |entry: fs::DirEntry| match entry.metadata() {
        Ok(found) if found.is_dir() => size(&entry.path()),
        Ok(found) => found.len(),
        Err(_) => 0,
    };
    entries.map(one).sum()
}

/// The checkpoints of an ended run that only a resume or another look at an old epoch would need: all but the best.
#[must_use]
pub fn spare(run: &Seen) -> Vec<PathBuf> {
    match run.state {
        State::Running | State::Interrupted => Vec::new(),
        State::Ended(_) => {
            let is_spare = |folder: &PathBuf| {
                let name = folder.file_name().unwrap_or_default().to_string_lossy();
                name == "last" || name.strip_prefix("epoch-").is_some_and(|n| n.bytes().all(|b| b.is_ascii_digit()))
            };
            let checkpoints = folders(&run.root.join("checkpoints")).into_iter().filter(is_spare);
            checkpoints.map(|folder| folder.join("model.safetensors")).filter(|file| file.is_file()).collect()
        }
    }
}
