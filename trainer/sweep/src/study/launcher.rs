//! What a coordinator asks of whoever starts trials: this machine ([`super::Local`]), or a cluster.

use std::io;
use std::path::Path;

use indexmap::IndexMap;
use serde_json::Value;

/// A trial to start.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    /// Its number, from 0.
    pub number: u64,
    /// Folder of its run.
    pub folder: &'a Path,
    /// Options of the training, by the specification's names.
    pub options: &'a IndexMap<String, Value>,
    /// Whether the run is there already and goes on.
    pub resume: bool,
    /// Which of the places for trials at the same time it has, from 0.
    pub place: usize,
}

/// How a trial is stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stop {
    /// It writes a checkpoint and ends, so that it can go on later.
    Gently,
    /// At once.
    Now,
}

/// How a trial ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Its exit code; `None` of a process that was killed.
    pub code: Option<i32>,
    /// The last lines that it said.
    pub said: String,
}

/// Starts trials, asks how they are, and stops them.
pub trait Launcher {
    /// Starts a trial.
    ///
    /// # Errors
    /// When it cannot be started.
    fn start(&mut self, launch: &Launch) -> io::Result<()>;

    /// How a started trial ended; `None` while it runs. After its end nobody asks again.
    ///
    /// # Errors
    /// When nobody knows.
    fn poll(&mut self, number: u64) -> io::Result<Option<Exit>>;

    /// Tells a started trial to stop.
    ///
    /// # Errors
    /// When it cannot be told.
    fn stop(&mut self, number: u64, how: Stop) -> io::Result<()>;
}
