//! Swaps: a new version of a model comes into the repository, and the one before it goes, while clients ask.

use std::{
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use serde_json::Value;

use super::{
    http::Answer,
    repository::{Model, Repository, SWAPPED, Soundness},
    shared::Shared,
    tally::{Group, Outcome},
    truth::Versions,
};

/// How long the server may take to see what has changed in the repository.
const SEEN: Duration = Duration::from_secs(60);
/// Between two looks.
const LOOK: Duration = Duration::from_millis(200);
/// Of so many swaps one is preceded by a version that cannot be served.
const BROKEN: u64 = 3;

/// Swaps the models in turn.
pub struct Swaps<'a> {
    shared: &'a Shared,
    repository: &'a Repository,
    done: u64,
}

impl<'a> Swaps<'a> {
    /// Of a repository that has version 1 of each model.
    pub fn new(shared: &'a Shared, repository: &'a Repository) -> Self {
        for model in &SWAPPED {
            shared.truth.swapped(model.name, Versions { oldest: 1, newest: 1 });
        }
        Self { shared, repository, done: 0 }
    }

    /// Swaps the next model, and counts it.
    pub fn next(&mut self) {
        let turn = usize::try_from(self.done).unwrap_or_default();
        let model = &SWAPPED[turn % SWAPPED.len()];
        let result = self.swap(model).map(|()| Outcome::Right).map_err(|error| format!("{error:#}"));
        self.shared.tally.count(Group::Swap, model.name, result);
        self.done += 1;
    }

    fn swap(&self, model: &Model) -> anyhow::Result<()> {
        let old = self.shared.truth.versions(Some(model.name)).newest;
        let new = old + 1;
        if self.done.is_multiple_of(BROKEN) {
            self.repository.register(model, new, Soundness::Broken)?;
            self.await_states(model, &[(old, "READY"), (new, "UNAVAILABLE")])?;
            self.repository.remove(model, new)?;
            self.await_states(model, &[(old, "READY")])?;
        }
        self.shared.truth.swapped(model.name, Versions { oldest: old, newest: new });
        self.repository.register(model, new, Soundness::Sound)?;
        self.await_ready(model, new)?;
        self.shared.truth.swapped(model.name, Versions { oldest: new, newest: new });
        self.repository.remove(model, old)?;
        self.await_states(model, &[(new, "READY")])?;
        self.status(model, new, 200)?;
        self.status(model, old, 404)
    }

    fn ask(&self, head: &str) -> anyhow::Result<Answer> {
        let mut connection = self.shared.connect()?;
        connection.send(
            format!("{head} HTTP/1.1\r\nHost: soak\r\nContent-Length: 0\r\nConnection: close\r\n\r\n").as_bytes(),
        )?;
        Ok(connection.read()?)
    }

    fn status(&self, model: &Model, version: u64, right: u16) -> anyhow::Result<()> {
        let status = self.ask(&format!("GET /v2/models/{}/versions/{version}", model.name))?.status;
        anyhow::ensure!(status == right, "version {version} is answered with status {status}, not {right}");
        Ok(())
    }

    /// Version and state of each version that the server knows.
    fn states(&self, model: &Model) -> anyhow::Result<Vec<(u64, String)>> {
        let index: Vec<Value> = serde_json::from_slice(&self.ask("POST /v2/repository/index")?.body)?;
        let of = |entry: &Value, key: &str| {
            entry[key].as_str().map(str::to_owned).with_context(|| format!("no {key} in the index"))
        };
        let mut states = Vec::new();
        for entry in &index {
            if of(entry, "name")? == model.name {
                states.push((of(entry, "version")?.parse()?, of(entry, "state")?));
            }
        }
        Ok(states)
    }

    /// Waits until the index says so.
    fn await_that(&self, model: &Model, what: &str, is_so: impl Fn(&[(u64, String)]) -> bool) -> anyhow::Result<()> {
        let end = Instant::now() + SEEN;
        loop {
            let states = self.states(model)?;
            if is_so(&states) {
                return Ok(());
            }
            anyhow::ensure!(Instant::now() < end, "{what} is not so after {} s: {states:?}", SEEN.as_secs());
            thread::sleep(LOOK);
        }
    }

    /// Waits until these, and no others, are the model's versions.
    fn await_states(&self, model: &Model, right: &[(u64, &str)]) -> anyhow::Result<()> {
        let is_so = |states: &[(u64, String)]| {
            states.iter().map(|(version, state)| (*version, state.as_str())).eq(right.iter().copied())
        };
        self.await_that(model, &format!("{right:?}"), is_so)
    }

    /// Waits until a version is served, whatever becomes of the others.
    fn await_ready(&self, model: &Model, version: u64) -> anyhow::Result<()> {
        let is_so =
            |states: &[(u64, String)]| states.iter().any(|(known, state)| *known == version && state == "READY");
        self.await_that(model, &format!("version {version} READY"), is_so)
    }
}
