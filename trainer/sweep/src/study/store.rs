//! The database of a study: `study.sqlite` in its folder. Every change is one transaction that is on the disk when it returns, so that a
//! coordinator may be killed at any moment.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};
use std::time::Duration;

use indexmap::IndexMap;
use rusqlite::{Connection, OptionalExtension, TransactionBehavior, params};
use serde::{Deserialize, Serialize};

use super::error::StudyError;
use crate::plan::StudyPlan;
use crate::sampler::{TrialResult, Tried};
use crate::space::Point;
use crate::termination::Curve;

/// Version of the tables below.
const VERSION: i64 = 1;
/// Name of the database in the folder of a study.
const DATABASE: &str = "study.sqlite";
/// The file that is locked while a coordinator works.
const LOCK: &str = "study.lock";
/// Folder of the trials' runs.
const TRIALS: &str = "trials";
/// How long a reader may keep a writer waiting.
const PATIENCE: Duration = Duration::from_secs(30);

const TABLES: &str = "
    CREATE TABLE study (plan TEXT NOT NULL, notes TEXT NOT NULL) STRICT;
    CREATE TABLE trials (
        number INTEGER PRIMARY KEY,
        point TEXT NOT NULL,
        state TEXT NOT NULL,
        attempts INTEGER NOT NULL DEFAULT 0,
        epochs INTEGER NOT NULL DEFAULT 0,
        why TEXT NOT NULL DEFAULT '',
        started REAL NOT NULL DEFAULT 0,
        seconds REAL NOT NULL DEFAULT 0
    ) STRICT;
    CREATE TABLE reports (
        trial INTEGER NOT NULL REFERENCES trials (number),
        epoch INTEGER NOT NULL,
        value REAL,
        seconds REAL NOT NULL,
        PRIMARY KEY (trial, epoch)
    ) STRICT, WITHOUT ROWID;
";

/// Where a trial stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It has a point and is not running: not started yet, or stopped to go on later.
    Waiting,
    /// A process trains it.
    Running,
    /// It ran to its end.
    Completed,
    /// It was ended before its end, by a policy or a limit; its value is the best so far.
    Stopped,
    /// It came to nothing.
    Failed,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Waiting, Self::Running, Self::Completed, Self::Stopped, Self::Failed];

    /// In a word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Waiting => "waiting",
            Self::Running => "running",
            Self::Completed => "completed",
            Self::Stopped => "stopped",
            Self::Failed => "failed",
        }
    }

    /// Whether nothing more will happen to it.
    #[must_use]
    pub const fn is_over(self) -> bool {
        match self {
            Self::Waiting | Self::Running => false,
            Self::Completed | Self::Stopped | Self::Failed => true,
        }
    }
}

/// A value of the primary metric.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Report {
    /// Epochs that were finished, from 1.
    pub epoch: u32,
    /// Larger is better; NaN is an undefined one.
    pub value: f64,
}

/// A trial.
#[derive(Clone, Debug, PartialEq)]
pub struct Trial {
    /// Its number, from 0.
    pub number: u64,
    /// What it tries.
    pub point: Point,
    /// Where it stands.
    pub state: State,
    /// How often a process was started for it, without those that ended because the study did.
    pub attempts: u32,
    /// Epochs it has finished.
    pub epochs: u32,
    /// Why it was stopped or failed.
    pub why: String,
    /// Seconds from the beginning of the study to its first start, without the time between two coordinators.
    pub started: f64,
    /// Seconds that its processes ran.
    pub seconds: f64,
    /// Its reports by epoch, with the seconds since it was first started.
    pub reports: Vec<(Report, f64)>,
}

impl Trial {
    /// The best value that it reported; `None` without one.
    #[must_use]
    pub fn best(&self) -> Option<Report> {
        let defined = self.reports.iter().map(|(report, _)| *report).filter(|report| !report.value.is_nan());
        // Of equals the first.
        defined.reduce(|best, one| if one.value > best.value { one } else { best })
    }

    /// What policies compare: a value for each epoch, that of the last evaluation where there was none; NaN before the first one.
    #[must_use]
    pub fn curve(&self) -> Curve {
        let mut values = Vec::new();
        for (report, _) in &self.reports {
            let last = values.last().copied().unwrap_or(f64::NAN);
            values.resize((report.epoch as usize).saturating_sub(1).max(values.len()), last);
            values.push(report.value);
        }
        Curve { trial: self.number, values, ended: self.state.is_over() }
    }

    /// What a sampler sees of it.
    #[must_use]
    pub fn tried(&self) -> Tried {
        let result = match (self.state, self.best()) {
            (State::Waiting | State::Running, _) => TrialResult::Running,
            (State::Completed | State::Stopped, Some(best)) => TrialResult::Value(best.value),
            (State::Completed | State::Stopped, None) | (State::Failed, _) => TrialResult::Failed,
        };
        Tried { number: self.number, point: self.point.clone(), result }
    }
}

/// What a trial's row has in another form than [`Trial`].
struct Kept {
    point: String,
    state: String,
}

/// A study on disk. While this value lives, no other process works on it.
#[derive(Debug)]
pub struct Study {
    folder: PathBuf,
    plan: StudyPlan,
    notes: Vec<String>,
    database: Connection,
    _lock: File,
}

impl Study {
    /// Begins a study in a folder that is not there yet or is empty. `notes` are kept for its report.
    ///
    /// # Errors
    /// When something is in the way, or the folder is on a network.
    pub fn begin(folder: &Path, plan: &StudyPlan, notes: &[String]) -> Result<Self, StudyError> {
        refuse_network(folder)?;
        let in_the_way =
            |problem: &str| StudyError::InTheWay { folder: folder.to_owned(), problem: problem.to_owned() };
        if folder.join(DATABASE).is_file() && Self::is_begun(&folder.join(DATABASE)) {
            return Err(in_the_way("holds a study already; go on with --resume, or choose another --output"));
        }
        // What a begin leaves that was killed at once does not count.
        let ours = |name: &str| name == LOCK || name.starts_with(DATABASE);
        let strange = |entry: &fs::DirEntry| !ours(&entry.file_name().to_string_lossy());
        match fs::read_dir(folder) {
            Ok(mut entries) => {
                if let Some(entry) = entries.find_map(|entry| entry.ok().filter(strange)) {
                    let name = entry.file_name().to_string_lossy().into_owned();
                    return Err(in_the_way(&format!("is not empty ({name}); a study goes into a new or empty folder")));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                fs::create_dir_all(folder).map_err(StudyError::io(folder))?;
            }
            Err(error) => return Err(StudyError::io(folder)(error)),
        }
        let lock = lock(folder)?;
        let path = folder.join(DATABASE);
        let text = |value: serde_json::Result<String>| {
            value.map_err(|error| StudyError::Broken { path: path.clone(), problem: error.to_string() })
        };
        let (plan_text, notes_text) = (text(serde_json::to_string(plan))?, text(serde_json::to_string(notes))?);
        let mut database = open(&path)?;
        let begin = || -> rusqlite::Result<()> {
            let change = database.transaction_with_behavior(TransactionBehavior::Immediate)?;
            change.execute_batch(TABLES)?;
            change.execute("INSERT INTO study (plan, notes) VALUES (?1, ?2)", params![plan_text, notes_text])?;
            change.pragma_update(None, "user_version", VERSION)?;
            change.commit()
        };
        let mut begin = begin;
        begin().map_err(|source| StudyError::Database { path: path.clone(), source })?;
        Ok(Self { folder: absolute(folder)?, plan: plan.clone(), notes: notes.to_vec(), database, _lock: lock })
    }

    fn is_begun(path: &Path) -> bool {
        let version = open(path).and_then(|database| version(path, &database));
        version.is_ok_and(|version| version != 0)
    }

    /// Opens the study in a folder, to go on with it.
    ///
    /// # Errors
    /// When there is none, another process works on it, or it cannot be understood.
    pub fn resume(folder: &Path) -> Result<Self, StudyError> {
        let path = folder.join(DATABASE);
        if !path.is_file() || !Self::is_begun(&path) {
            return Err(StudyError::Missing(folder.to_owned()));
        }
        refuse_network(folder)?;
        let lock = lock(folder)?;
        let database = open(&path)?;
        let found = version(&path, &database)?;
        if found != VERSION {
            return Err(StudyError::Version { path, found, known: VERSION });
        }
        let kept: (String, String) = database
            .query_row("SELECT plan, notes FROM study", [], |row| Ok((row.get(0)?, row.get(1)?)))
            .map_err(|source| StudyError::Database { path: path.clone(), source })?;
        let broken = |error: serde_json::Error| StudyError::Broken { path: path.clone(), problem: error.to_string() };
        let plan = serde_json::from_str(&kept.0).map_err(broken)?;
        let notes = serde_json::from_str(&kept.1).map_err(broken)?;
        Ok(Self { folder: absolute(folder)?, plan, notes, database, _lock: lock })
    }

    /// Whether a folder holds a study.
    #[must_use]
    pub fn is_study(folder: &Path) -> bool {
        Self::is_begun(&folder.join(DATABASE))
    }

    /// Its folder, as an absolute path.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// What it was asked to do.
    #[must_use]
    pub fn plan(&self) -> &StudyPlan {
        &self.plan
    }

    /// What there is to know of how it was asked.
    #[must_use]
    pub fn notes(&self) -> &[String] {
        &self.notes
    }

    /// Folder of a trial's run.
    #[must_use]
    pub fn trial_folder(&self, number: u64) -> PathBuf {
        self.folder.join(TRIALS).join(format!("{number:04}"))
    }

    /// Folder of all trials' runs.
    #[must_use]
    pub fn trials_folder(&self) -> PathBuf {
        self.folder.join(TRIALS)
    }

    /// The trials by number.
    ///
    /// # Errors
    /// When the database cannot be read.
    pub fn trials(&self) -> Result<Vec<Trial>, StudyError> {
        let trials = "SELECT number, point, state, attempts, epochs, why, started, seconds FROM trials ORDER BY number";
        let read = |row: &rusqlite::Row| {
            let (point, state): (String, String) = (row.get("point")?, row.get("state")?);
            Ok((
                Kept { point, state },
                Trial {
                    number: row.get::<_, i64>("number")?.unsigned_abs(),
                    point: Point { branch: 0, values: IndexMap::new() },
                    state: State::Waiting,
                    attempts: row.get("attempts")?,
                    epochs: row.get("epochs")?,
                    why: row.get("why")?,
                    started: row.get("started")?,
                    seconds: row.get("seconds")?,
                    reports: Vec::new(),
                },
            ))
        };
        let trials: Vec<(Kept, Trial)> = self.query(trials, read)?;
        let reports = "SELECT trial, epoch, value, seconds FROM reports ORDER BY trial, epoch";
        let reports: Vec<(u64, Report, f64)> = self.query(reports, |row| {
            let value: Option<f64> = row.get("value")?;
            let report = Report { epoch: row.get("epoch")?, value: value.unwrap_or(f64::NAN) };
            Ok((row.get::<_, i64>("trial")?.unsigned_abs(), report, row.get("seconds")?))
        })?;
        let mut reports = reports.into_iter().peekable();
        let understood = trials.into_iter().map(|(Kept { point, state }, mut trial)| {
            let number = trial.number;
            let known = State::ALL.into_iter().find(|one| one.as_str() == state);
            trial.state =
                known.ok_or_else(|| self.broken(format!("trial {number} is {state:?}, which is no state")))?;
            let point = serde_json::from_str(&point);
            trial.point = point.map_err(|error| self.broken(format!("trial {number}: {error}")))?;
            while let Some((_, report, seconds)) = reports.next_if(|(trial, ..)| *trial == number) {
                trial.reports.push((report, seconds));
            }
            Ok(trial)
        });
        understood.collect()
    }

    /// Records a new trial, which waits.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn add(&mut self, number: u64, point: &Point) -> Result<(), StudyError> {
        let point = serde_json::to_string(point).map_err(|error| self.broken(error.to_string()))?;
        let values = params![number as i64, point, State::Waiting.as_str()];
        self.execute("INSERT INTO trials (number, point, state) VALUES (?1, ?2, ?3)", values)
    }

    /// Records that a process is started for a trial, for the first time so many seconds after the beginning of the study.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn set_started(&mut self, number: u64, seconds: f64) -> Result<(), StudyError> {
        let values = params![number as i64, State::Running.as_str(), seconds];
        let change = "UPDATE trials SET state = ?2, started = iif(started = 0, ?3, started), attempts = attempts + 1 WHERE number = ?1";
        self.execute(change, values)
    }

    /// Records where a trial stands, why, and that its process ran for so many seconds.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn set_state(&mut self, number: u64, state: State, why: &str, seconds: f64) -> Result<(), StudyError> {
        let values = params![number as i64, state.as_str(), why, seconds];
        self.execute("UPDATE trials SET state = ?2, why = ?3, seconds = seconds + ?4 WHERE number = ?1", values)
    }

    /// Records that a trial ended because the study did, which is no fault of its own.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn forgive(&mut self, number: u64) -> Result<(), StudyError> {
        self.execute("UPDATE trials SET attempts = max(attempts - 1, 0) WHERE number = ?1", params![number as i64])
    }

    /// Records that trials which a killed coordinator left running wait. They died with it, which is no fault of theirs.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn set_waiting(&mut self) -> Result<(), StudyError> {
        let values = params![State::Waiting.as_str(), State::Running.as_str()];
        self.execute("UPDATE trials SET state = ?1, attempts = max(attempts - 1, 0) WHERE state = ?2", values)
    }

    /// Records reports of a trial, `seconds` after its first start, and the epochs it has finished. An epoch that is reported again, as
    /// after a kill, stands once.
    ///
    /// # Errors
    /// When the database cannot be written.
    pub fn report(&mut self, number: u64, reports: &[Report], epochs: u32, seconds: f64) -> Result<(), StudyError> {
        let path = self.path();
        let mut write = || -> rusqlite::Result<()> {
            let change = self.database.transaction_with_behavior(TransactionBehavior::Immediate)?;
            change.execute("UPDATE trials SET epochs = ?2 WHERE number = ?1", params![number as i64, epochs])?;
            for report in reports {
                let value = Some(report.value).filter(|value| !value.is_nan());
                change.execute(
                    "INSERT INTO reports (trial, epoch, value, seconds) VALUES (?1, ?2, ?3, ?4) \
                     ON CONFLICT (trial, epoch) DO UPDATE SET value = excluded.value",
                    params![number as i64, report.epoch, value, seconds],
                )?;
            }
            change.commit()
        };
        write().map_err(|source| StudyError::Database { path, source })
    }

    /// What SQLite finds wrong with the database; `ok` alone where it is intact.
    ///
    /// # Errors
    /// When it cannot be read at all.
    pub fn check(&self) -> Result<Vec<String>, StudyError> {
        self.query("PRAGMA integrity_check", |row| row.get(0))
    }

    /// Makes the database as large as it may become, as on a full disk; or lets it grow again.
    #[cfg(test)]
    pub(super) fn set_full(&self, full: bool) {
        let pages: i64 = self.database.query_row("PRAGMA page_count", [], |row| row.get(0)).unwrap();
        let most = if full { pages } else { i64::from(i32::MAX) };
        self.database.query_row(&format!("PRAGMA max_page_count = {most}"), [], |_| Ok(())).unwrap();
    }

    fn path(&self) -> PathBuf {
        self.folder.join(DATABASE)
    }

    fn broken(&self, problem: String) -> StudyError {
        StudyError::Broken { path: self.path(), problem }
    }

    fn query<T>(
        &self,
        text: &str,
        read: impl FnMut(&rusqlite::Row) -> rusqlite::Result<T>,
    ) -> Result<Vec<T>, StudyError> {
        let found = self.database.prepare_cached(text).and_then(|mut found| found.query_map([], read)?.collect());
        found.map_err(|source| StudyError::Database { path: self.path(), source })
    }

    fn execute(&mut self, text: &str, values: &[&dyn rusqlite::ToSql]) -> Result<(), StudyError> {
        let done = self.database.prepare_cached(text).and_then(|mut change| change.execute(values));
        done.map(drop).map_err(|source| StudyError::Database { path: self.path(), source })
    }
}

fn absolute(folder: &Path) -> Result<PathBuf, StudyError> {
    fs::canonicalize(folder).map_err(StudyError::io(folder))
}

fn open(path: &Path) -> Result<Connection, StudyError> {
    let open = || -> rusqlite::Result<Connection> {
        let database = Connection::open(path)?;
        database.busy_timeout(PATIENCE)?;
        // Readers, such as a page that is made meanwhile, do not wait; a commit is on the disk when it returns.
        database.query_row("PRAGMA journal_mode = WAL", [], |_| Ok(())).optional()?;
        database.pragma_update(None, "synchronous", "FULL")?;
        database.pragma_update(None, "foreign_keys", "ON")?;
        Ok(database)
    };
    open().map_err(|source| StudyError::Database { path: path.to_owned(), source })
}

fn version(path: &Path, database: &Connection) -> Result<i64, StudyError> {
    let version = database.query_row("PRAGMA user_version", [], |row| row.get(0));
    version.map_err(|source| StudyError::Database { path: path.to_owned(), source })
}

fn lock(folder: &Path) -> Result<File, StudyError> {
    let path = folder.join(LOCK);
    let lock = File::options().create(true).truncate(false).write(true).open(&path).map_err(StudyError::io(&path))?;
    match lock.try_lock() {
        Ok(()) => Ok(lock),
        Err(TryLockError::WouldBlock) => Err(StudyError::InUse(folder.to_owned())),
        Err(TryLockError::Error(error)) => Err(StudyError::io(&path)(error)),
    }
}

/// File systems whose locks do not hold between machines, by the number that `statfs` gives.
const NETWORKS: [(u64, &str); 7] = [
    (0x6969, "NFS"),
    (0xff53_4d42, "CIFS"),
    (0xfe53_4d42, "SMB"),
    (0x517b, "SMB"),
    (0x0102_1997, "9P"),
    (0x00c3_6400, "Ceph"),
    (0x5346_414f, "AFS"),
];

fn refuse_network(folder: &Path) -> Result<(), StudyError> {
    // Of a folder that is not there, the nearest one above that is.
    let there = folder.ancestors().find(|one| one.exists()).unwrap_or(Path::new("."));
    let there = if there.as_os_str().is_empty() { Path::new(".") } else { there };
    let found = rustix::fs::statfs(there).map_err(|error| StudyError::io(there)(error.into()))?;
    let kind = found.f_type as u64 & 0xffff_ffff;
    match NETWORKS.into_iter().find(|(number, _)| *number == kind) {
        Some((_, system)) => Err(StudyError::Network { folder: folder.to_owned(), system }),
        None => Ok(()),
    }
}
