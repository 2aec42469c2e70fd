//! Trials as processes of this machine.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Seek, SeekFrom};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::launcher::{Exit, Launch, Launcher, Stop};

/// Bytes of what a trial said that are looked at.
const TAIL: u64 = 4096;
/// Lines of it that are shown.
const LINES: usize = 8;

/// Starts trials on this machine.
#[derive(Debug)]
pub struct Local {
    /// The program; it is given `train`, the options and the folder.
    pub program: PathBuf,
    /// Threads of each trial, at least 1.
    pub threads: usize,
    /// Graphics cards, as `CUDA_VISIBLE_DEVICES` names them, given out one by one; none of a study on processors.
    pub cards: Vec<String>,
    /// Folder in which all of them keep decoded images.
    pub image_cache: Option<PathBuf>,
    running: BTreeMap<u64, Running>,
}

#[derive(Debug)]
struct Running {
    child: Child,
    log: PathBuf,
}

impl Local {
    /// A launcher of a program.
    #[must_use]
    pub fn new(program: PathBuf, threads: usize) -> Self {
        Self { program, threads, cards: Vec::new(), image_cache: None, running: BTreeMap::new() }
    }

    fn running(&mut self, number: u64) -> io::Result<&mut Running> {
        self.running.get_mut(&number).ok_or_else(|| io::Error::other(format!("trial {number} was not started here")))
    }
}

/// Where a trial's process says what it does: beside its folder, which belongs to the run.
pub(super) fn log_of(folder: &Path) -> PathBuf {
    folder.with_extension("log")
}

impl Launcher for Local {
    fn start(&mut self, launch: &Launch) -> io::Result<()> {
        let log = log_of(launch.folder);
        if let Some(parent) = log.parent() {
            fs::create_dir_all(parent)?;
        }
        let said = File::options().create(true).append(true).open(&log)?;
        let mut command = Command::new(&self.program);
        command.arg("train").arg("--output").arg(launch.folder).arg("--threads").arg(self.threads.to_string());
        if let Some(folder) = &self.image_cache {
            command.arg("--image_cache").arg(folder);
        }
        if launch.resume {
            command.arg("--resume");
        } else {
            // The best one is exported when all are over.
            command.arg("--export").arg("none");
            for (name, value) in launch.options {
                command.arg(format!("--{name}={}", text(value)));
            }
        }
        if let Some(card) = self.cards.get(launch.place % self.cards.len().max(1)) {
            command.env("CUDA_VISIBLE_DEVICES", card);
        }
        // In a group of its own: Ctrl-C is told to the coordinator, which stops its trials.
        let command = command.process_group(0).stdin(Stdio::null()).stdout(said.try_clone()?).stderr(said);
        self.running.insert(launch.number, Running { child: command.spawn()?, log });
        Ok(())
    }

    fn poll(&mut self, number: u64) -> io::Result<Option<Exit>> {
        let running = self.running(number)?;
        let Some(status) = running.child.try_wait()? else { return Ok(None) };
        let said = tail(&running.log).unwrap_or_default();
        self.running.remove(&number);
        Ok(Some(Exit { code: status.code(), said }))
    }

    fn stop(&mut self, number: u64, how: Stop) -> io::Result<()> {
        let signal = match how {
            Stop::Gently => Signal::TERM,
            Stop::Now => Signal::KILL,
        };
        // Not waited for yet, so that the number is still that of this process.
        kill_process(Pid::from_child(&self.running(number)?.child), signal).map_err(io::Error::from)
    }
}

/// A value as one types it.
fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// The last lines of a file.
fn tail(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(length.saturating_sub(TAIL)))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    Ok(lines[lines.len().saturating_sub(LINES)..].join("\n"))
}
