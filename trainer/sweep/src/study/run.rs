//! The coordinator: starts trials, records what they report, ends those that a policy or a limit ends, and starts dead ones again.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use indexmap::IndexMap;

use super::error::StudyError;
use super::journal::Journal;
use super::launcher::{Exit, Launch, Launcher, Stop};
use super::store::{State, Study, Trial};
use super::strays;
use crate::sampler::Tried;
use crate::space::Point;
use crate::termination::Curve;

/// How long the coordinator sleeps between two looks at its trials.
const PAUSE: Duration = Duration::from_millis(200);
/// What a trial may take beyond its limit of time, to evaluate and to write, before it is killed.
const GRACE: Duration = Duration::from_secs(120);
/// Between two attempts to write to a disk that is full.
const AGAIN: Duration = Duration::from_secs(1);
/// Bytes that are free on the disk when a trial is started: with less it could not even write down that it began.
const ROOM: u64 = 64 << 20;
/// Trials that are refused one after the other at the beginning, until the study is.
const REFUSED: usize = 3;
/// Exit codes of a training: bad settings or data, and interrupted and resumable.
const BAD: i32 = 2;
const INTERRUPTED: i32 = 75;

/// How a study is run, beside its plan.
#[derive(Clone, Copy, Debug)]
pub struct Options<'a> {
    /// Trials of earlier studies that a Bayesian sampler may learn from.
    pub earlier: &'a [Tried],
    /// How often a trial is started again that died.
    pub retries: u32,
    /// How long a full disk is waited for.
    pub patience: Duration,
}

/// Sees what happens in a study.
pub trait Observer {
    /// These are all trials, by number, after a change.
    fn trials(&mut self, trials: &[Trial]);

    /// Nothing is started or recorded at the moment, and why.
    fn waits(&mut self, why: &str);
}

/// An observer that looks away.
impl Observer for () {
    fn trials(&mut self, _: &[Trial]) {}

    fn waits(&mut self, _: &str) {}
}

/// How a study ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// Every trial is over.
    Completed,
    /// The time for the study is over; the best so far counts.
    OutOfTime,
    /// It was told to stop, and can be resumed.
    Interrupted,
}

/// A trial whose process runs.
struct Active {
    place: usize,
    journal: Journal,
    started: Instant,
    /// Seconds that earlier processes of it ran.
    before: f64,
    epochs: u32,
    /// Why it was told to stop, and whether that is its end.
    stopping: Option<Stopping>,
}

/// A trial was told to stop.
struct Stopping {
    why: String,
    after: After,
    since: Instant,
    /// Whether it was killed, because it did not.
    killed: bool,
}

/// What becomes of a trial that was told to stop.
#[derive(Clone, Copy, PartialEq, Eq)]
enum After {
    /// It is over.
    Over,
    /// It goes on when the study does.
    GoesOn,
}

impl Active {
    fn seconds(&self) -> f64 {
        self.started.elapsed().as_secs_f64()
    }
}

/// Runs the trials of a study until all are over, its time is, or `stop` is set; `observer` sees them after every change.
///
/// The order of decisions: new reports of each running trial by its number, and after those of one whether a policy ends it; then trials
/// that ended, by number; then, for each free place, the waiting trial with the lowest number, or a new one. While the disk is full,
/// nothing is started, and what is to be recorded is tried again.
///
/// # Errors
/// When the database cannot be read or written, or the first trials are all refused. What goes wrong with a trial is recorded with it.
/// Trials that ran then were told to stop, and go on when the study does.
pub fn run(
    study: &mut Study,
    launcher: &mut dyn Launcher,
    options: &Options,
    stop: &AtomicBool,
    observer: &mut dyn Observer,
) -> Result<Ended, StudyError> {
    let folder = study.trials_folder();
    strays::end(&folder).map_err(StudyError::io(&folder))?;
    study.set_waiting()?;
    let trials = study.trials()?;
    let before: f64 = trials.iter().map(|trial| trial.seconds).sum();
    let at_once = study.plan().limits.at_once.max(1);
    let spent = Duration::try_from_secs_f64(before / at_once as f64).unwrap_or_default();
    let mut coordinator = Coordinator {
        study,
        launcher,
        options,
        stop,
        observer,
        trials,
        active: BTreeMap::new(),
        reason: None,
        began: Instant::now(),
        spent,
        crowded: None,
    };
    let ended = coordinator.run();
    if ended.is_err() {
        coordinator.abandon();
    }
    ended
}

struct Coordinator<'a> {
    study: &'a mut Study,
    launcher: &'a mut dyn Launcher,
    options: &'a Options<'a>,
    stop: &'a AtomicBool,
    observer: &'a mut dyn Observer,
    /// As the database has them.
    trials: Vec<Trial>,
    active: BTreeMap<u64, Active>,
    /// Why no more trials are started.
    reason: Option<Ended>,
    /// When this process began, and what earlier ones took of the time, as if as many trials had always run at once.
    began: Instant,
    spent: Duration,
    /// Since when the disk has no room for another trial.
    crowded: Option<Instant>,
}

impl Coordinator<'_> {
    fn run(&mut self) -> Result<Ended, StudyError> {
        let limits = self.study.plan().limits;
        let minutes = limits.minutes.and_then(|minutes| Duration::try_from_secs_f64(minutes * 60.0).ok());
        loop {
            let mut changed = self.listen()?;
            changed |= self.collect()?;
            if self.reason.is_none() {
                if self.stop.load(Ordering::Relaxed) {
                    self.wind_up(Ended::Interrupted, "the study was told to stop", After::GoesOn);
                } else if minutes.is_some_and(|minutes| self.elapsed() >= minutes) {
                    self.wind_up(Ended::OutOfTime, "the time for the study is over", After::Over);
                }
            }
            if self.reason.is_none() {
                changed |= self.fill()?;
            }
            if changed {
                self.observer.trials(&self.trials);
            }
            if self.active.is_empty() && (self.reason.is_some() || self.crowded.is_none()) {
                return Ok(self.reason.unwrap_or(Ended::Completed));
            }
            if !changed {
                thread::sleep(PAUSE);
            }
        }
    }

    /// Records what running trials have reported, and ends those that a policy or their limit of time ends.
    fn listen(&mut self) -> Result<bool, StudyError> {
        let mut changed = false;
        for number in self.active.keys().copied().collect::<Vec<_>>() {
            changed |= self.hear(number)?;
        }
        Ok(changed)
    }

    /// What one trial reported.
    fn hear(&mut self, number: u64) -> Result<bool, StudyError> {
        let Some(active) = self.active.get_mut(&number) else { return Ok(false) };
        let news = active.journal.news().map_err(StudyError::io(self.study.folder()))?;
        active.epochs = news.epochs.unwrap_or(active.epochs);
        let (seconds, epochs) = (active.before + active.seconds(), active.epochs);
        let limit =
            self.study.plan().limits.trial_minutes.and_then(|minutes| Duration::try_from_secs_f64(minutes * 60.0).ok());
        if active.stopping.is_none() && limit.is_some_and(|limit| active.started.elapsed() > limit + GRACE) {
            // It was told its limit, and should have ended by itself.
            self.end(number, "it ran for longer than a trial may", After::Over, Stop::Now);
        }
        self.insist(number);
        if news.reports.is_empty() && news.epochs.is_none() {
            return Ok(false);
        }
        self.write(|study| study.report(number, &news.reports, epochs, seconds))?;
        let index = self.index(number);
        let trial = &mut self.trials[index];
        trial.epochs = epochs;
        for report in news.reports {
            match trial.reports.iter_mut().find(|(known, _)| known.epoch == report.epoch) {
                Some((known, _)) => known.value = report.value,
                None => trial.reports.push((report, seconds)),
            }
        }
        let running = self.active.get(&number).is_some_and(|active| active.stopping.is_none()) && news.ended.is_none();
        let curves: Vec<Curve> = self.trials.iter().map(Trial::curve).collect();
        if running && self.study.plan().termination.ends(&curves[index], &curves) {
            self.end(number, "early termination", After::Over, Stop::Gently);
        }
        Ok(true)
    }

    /// Tells a trial to stop.
    fn end(&mut self, number: u64, why: &str, after: After, how: Stop) {
        if let Some(active) = self.active.get_mut(&number) {
            let killed = how == Stop::Now;
            active.stopping = Some(Stopping { why: why.to_owned(), after, since: Instant::now(), killed });
            // It may have ended just now; then there is nothing to stop.
            let _ = self.launcher.stop(number, how);
        }
    }

    /// Kills a trial that was told to stop long ago.
    fn insist(&mut self, number: u64) {
        let stopping = self.active.get_mut(&number).and_then(|active| active.stopping.as_mut());
        if let Some(stopping) = stopping.filter(|one| !one.killed && one.since.elapsed() > GRACE) {
            stopping.killed = true;
            let _ = self.launcher.stop(number, Stop::Now);
        }
    }

    /// Changes the database; while the disk is full, again and again.
    fn write(&mut self, change: impl Fn(&mut Study) -> Result<(), StudyError>) -> Result<(), StudyError> {
        let begun = Instant::now();
        loop {
            match change(self.study) {
                Err(error) if error.is_full() => {
                    if begun.elapsed() >= self.options.patience || self.stop.load(Ordering::Relaxed) {
                        return Err(StudyError::NoRoom { folder: self.study.folder().to_owned(), free: 0 });
                    }
                    self.observer.waits(&format!("{error}; make room, it is tried again"));
                    thread::sleep(AGAIN.min(self.options.patience));
                }
                done => return done,
            }
        }
    }

    /// Whether there is room on the disk for another trial.
    fn has_room(&mut self) -> Result<bool, StudyError> {
        let folder = self.study.folder().to_owned();
        let free = rustix::fs::statvfs(&folder).map_or(u64::MAX, |disk| disk.f_bavail.saturating_mul(disk.f_frsize));
        if free >= ROOM {
            self.crowded = None;
            return Ok(true);
        }
        let since = *self.crowded.get_or_insert_with(Instant::now);
        if self.active.is_empty() && since.elapsed() >= self.options.patience {
            return Err(StudyError::NoRoom { folder, free });
        }
        let (free, room) = (free >> 20, ROOM >> 20);
        let why =
            format!("{} has {free} MiB free; make room, trials are started again at {room} MiB", folder.display());
        self.observer.waits(&why);
        Ok(false)
    }

    fn wind_up(&mut self, reason: Ended, why: &str, after: After) {
        self.reason = Some(reason);
        for number in self.active.keys().copied().collect::<Vec<_>>() {
            let told = self.active.get(&number).is_some_and(|active| active.stopping.is_some());
            if !told {
                self.end(number, why, after, Stop::Gently);
            }
        }
    }

    /// Records trials whose processes ended.
    fn collect(&mut self) -> Result<bool, StudyError> {
        let mut changed = false;
        for number in self.active.keys().copied().collect::<Vec<_>>() {
            let exit = match self.launcher.poll(number) {
                Ok(None) => continue,
                Ok(Some(exit)) => exit,
                Err(error) => Exit { code: None, said: error.to_string() },
            };
            // What it wrote between the last look and its end.
            self.hear(number)?;
            self.settle(number, &exit)?;
            changed = true;
        }
        Ok(changed)
    }

    /// Records what became of a trial whose process ended.
    fn settle(&mut self, number: u64, exit: &Exit) -> Result<(), StudyError> {
        let Some(active) = self.active.remove(&number) else { return Ok(()) };
        let index = self.index(number);
        let attempts = self.trials[index].attempts;
        let ended_with_the_study = matches!(active.stopping, Some(Stopping { after: After::GoesOn, .. }));
        let (state, why) = match (exit.code, active.stopping) {
            // Told to stop, it was already at its end.
            (Some(0), _) => (State::Completed, String::new()),
            (_, Some(Stopping { why, after: After::Over, .. })) => (State::Stopped, why),
            (_, Some(Stopping { after: After::GoesOn, .. })) => (State::Waiting, String::new()),
            // Somebody else told it to stop; it goes on.
            (Some(INTERRUPTED), None) if attempts <= self.options.retries => (State::Waiting, String::new()),
            (Some(BAD), None) => (State::Failed, exit.said.clone()),
            (_, None) if attempts <= self.options.retries => (State::Waiting, exit.said.clone()),
            (code, None) => {
                let how = code.map_or_else(
                    || "it was killed, as happens where memory runs out,".to_owned(),
                    |code| format!("it ended with {code}"),
                );
                (State::Failed, format!("{how} {attempts} times\n{}", exit.said))
            }
        };
        let seconds = active.started.elapsed().as_secs_f64();
        self.write(|study| study.set_state(number, state, &why, seconds))?;
        let forgiven = ended_with_the_study && state == State::Waiting;
        if forgiven {
            self.write(|study| study.forgive(number))?;
        }
        let trial = &mut self.trials[index];
        (trial.state, trial.why) = (state, why);
        trial.attempts -= u32::from(forgiven);
        trial.seconds += seconds;
        let begun = self.trials.iter().take_while(|trial| trial.state == State::Failed && trial.attempts == 1).count();
        if exit.code == Some(BAD) && begun == self.trials.len() && begun >= REFUSED.min(self.wanted() as usize) {
            return Err(StudyError::Refused { count: begun, reason: exit.said.clone() });
        }
        Ok(())
    }

    /// How long the study has gone.
    fn elapsed(&self) -> Duration {
        self.spent + self.began.elapsed()
    }

    fn wanted(&self) -> u64 {
        self.study.plan().limits.trials
    }

    /// Starts trials in free places.
    fn fill(&mut self) -> Result<bool, StudyError> {
        let mut changed = false;
        while (self.active.len() as u64) < self.study.plan().limits.at_once.max(1) {
            let waiting = self.trials.iter().find(|trial| trial.state == State::Waiting).map(|trial| trial.number);
            let is_more = waiting.is_some() || (self.trials.len() as u64) < self.wanted();
            if is_more && !self.has_room()? {
                break;
            }
            let Some(number) = waiting.map_or_else(|| self.next(), |number| Ok(Some(number)))? else { break };
            self.start(number)?;
            changed = true;
        }
        Ok(changed)
    }

    /// Records the next trial; nothing where there are as many as were wanted, or nothing is left to try.
    fn next(&mut self) -> Result<Option<u64>, StudyError> {
        let number = self.trials.len() as u64;
        if number >= self.wanted() {
            return Ok(None);
        }
        let plan = self.study.plan();
        let point = match (plan.first.get(self.trials.len()), &plan.space) {
            (Some(point), _) => Some(point.clone()),
            // Nothing is searched.
            (None, None) => (number == 0).then(|| Point { branch: 0, values: IndexMap::new() }),
            (None, Some(space)) => {
                let mut tried = self.options.earlier.to_vec();
                tried.extend(self.trials.iter().map(Trial::tried));
                plan.sampling.point(space, plan.seed, number, &tried)
            }
        };
        let Some(point) = point else { return Ok(None) };
        self.write(|study| study.add(number, &point))?;
        let (state, why, reports) = (State::Waiting, String::new(), Vec::new());
        self.trials.push(Trial {
            number,
            point,
            state,
            attempts: 0,
            epochs: 0,
            why,
            started: 0.0,
            seconds: 0.0,
            reports,
        });
        Ok(Some(number))
    }

    fn start(&mut self, number: u64) -> Result<(), StudyError> {
        let index = self.index(number);
        let folder = self.study.trial_folder(number);
        let options = match self.study.plan().options(&self.trials[index].point) {
            Ok(mut options) => {
                // The run then ends by itself, evaluated and measured.
                if let Some(minutes) = self.study.plan().limits.trial_minutes {
                    options.entry("max_time".to_owned()).or_insert_with(|| minutes.into());
                }
                options
            }
            Err(errors) => {
                let why: Vec<String> = errors.iter().map(ToString::to_string).collect();
                let why = why.join("\n");
                self.write(|study| study.set_state(number, State::Failed, &why, 0.0))?;
                (self.trials[index].state, self.trials[index].why) = (State::Failed, why);
                return Ok(());
            }
        };
        // Before it is started: a coordinator that is killed in between finds it, and no trial is started twice at once.
        let seconds = self.elapsed().as_secs_f64();
        self.write(|study| study.set_started(number, seconds))?;
        let trial = &mut self.trials[index];
        trial.state = State::Running;
        if trial.started == 0.0 {
            trial.started = seconds;
        }
        trial.attempts += 1;
        let taken: Vec<usize> = self.active.values().map(|active| active.place).collect();
        let place = (0..).find(|place| !taken.contains(place)).unwrap_or_default();
        let resume = folder.join("checkpoints/last/model.safetensors").is_file();
        let launch = Launch { number, folder: &folder, options: &options, resume, place };
        let started = self.launcher.start(&launch);
        let (before, epochs) = (trial.seconds, trial.epochs);
        let journal = Journal::of(&folder);
        self.active.insert(number, Active { place, journal, started: Instant::now(), before, epochs, stopping: None });
        match started {
            Ok(()) => Ok(()),
            Err(error) => self.settle(number, &Exit { code: None, said: format!("it could not be started: {error}") }),
        }
    }

    fn index(&self, number: u64) -> usize {
        // Trials are numbered from 0 without a gap.
        number as usize
    }

    /// Stops everything, where the study cannot go on.
    fn abandon(&mut self) {
        for &number in self.active.keys() {
            let _ = self.launcher.stop(number, Stop::Gently);
        }
        let patience = Instant::now();
        while !self.active.is_empty() && patience.elapsed() < GRACE {
            let ended: Vec<u64> =
                self.active.keys().copied().filter(|&number| !matches!(self.launcher.poll(number), Ok(None))).collect();
            ended.iter().for_each(|number| drop(self.active.remove(number)));
            thread::sleep(PAUSE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use schemas::error::Coded;

    use super::*;
    use crate::plan::{Limits, StudyPlan};
    use crate::sampler::Sampling;
    use crate::space::{Branch, Distribution, Space};
    use crate::termination::{Rule, Termination};

    /// Trials that end well as soon as they are looked at.
    struct AtOnce;

    impl Launcher for AtOnce {
        fn start(&mut self, _: &Launch) -> io::Result<()> {
            Ok(())
        }

        fn poll(&mut self, _: u64) -> io::Result<Option<Exit>> {
            Ok(Some(Exit { code: Some(0), said: String::new() }))
        }

        fn stop(&mut self, _: u64, _: Stop) -> io::Result<()> {
            Ok(())
        }
    }

    /// Counts what it is told.
    #[derive(Default)]
    struct Counts {
        waits: Vec<String>,
    }

    impl Observer for Counts {
        fn trials(&mut self, _: &[Trial]) {}

        fn waits(&mut self, why: &str) {
            self.waits.push(why.to_owned());
        }
    }

    fn study(folder: &std::path::Path) -> Study {
        let rates = Distribution::Uniform { low: 0.0, high: 1.0 };
        let parameters = IndexMap::from([("learning_rate".to_owned(), rates)]);
        let plan = StudyPlan {
            fixed: [("task", "image-classification"), ("model_name", "resnet18"), ("training_data", "t")]
                .map(|(name, value)| (name.to_owned(), value.into()))
                .into_iter()
                .collect(),
            space: Some(Space { branches: vec![Branch { parameters }] }),
            first: Vec::new(),
            sampling: Sampling::Random { sobol: false },
            termination: Termination { rule: Rule::Never, every: 1, delay: 0 },
            limits: Limits { trials: 400, at_once: 1, minutes: None, trial_minutes: None },
            seed: 1,
            test_data: None,
            labels: IndexMap::new(),
        };
        Study::begin(folder, &plan, &[]).unwrap()
    }

    #[test]
    fn a_full_disk_is_waited_for_and_then_the_study_ends_and_can_go_on() {
        let folder = tempfile::tempdir().unwrap();
        let mut study = study(&folder.path().join("study"));
        let options = Options { earlier: &[], retries: 0, patience: Duration::from_millis(20) };
        let (stop, mut counts) = (AtomicBool::new(false), Counts::default());
        study.set_full(true);
        let error = run(&mut study, &mut AtOnce, &options, &stop, &mut counts).unwrap_err();
        assert_eq!(error.code().exit_code(), 75, "{error}");
        assert!(error.to_string().contains("make room"), "{error}");
        assert!(counts.waits.iter().any(|why| why.contains("full")), "{:?}", counts.waits);
        assert_eq!(study.check().unwrap(), ["ok"]);
        let before = study.trials().unwrap().len();
        assert!(before < 400, "{before}");
        study.set_full(false);
        assert_eq!(run(&mut study, &mut AtOnce, &options, &stop, &mut ()).unwrap(), Ended::Completed);
        let trials = study.trials().unwrap();
        assert_eq!(trials.len(), 400);
        assert!(trials.iter().all(|trial| trial.state == State::Completed));
        assert_eq!(study.check().unwrap(), ["ok"]);
    }
}
