//! Studies from files and flags: the specification's YAML in its newer style ([`v2`]), the older style in YAML or TOML ([`v1`]),
//! options of a command line ([`flags`]), and flat files of settings for a single training ([`flat`]).
//!
//! A text becomes a tree that knows its lines; changes of the command line are made in it; what it says is read field by field, and
//! every point that the search may reach is tried as a plan. All errors are told at once.

mod call;
mod data;
mod describe;
mod distribution;
mod draft;
mod edit;
mod error;
mod fields;
pub mod flags;
pub mod flat;
mod policy;
mod reach;
mod settings;
mod tree;
pub mod v1;
pub mod v2;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

pub use data::check_data;
pub use describe::describe;
pub use distribution::DistributionError;
pub use error::{JobError, JobErrors, Place, Problem};

use crate::plan::StudyPlan;

/// A job that was understood.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// What is done.
    pub plan: StudyPlan,
    /// What a reader of the job should know: what was kept as a label, and what happens instead of what was asked.
    pub notes: Vec<Note>,
}

/// Something to know of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Note {
    /// Dotted path of the field that it is about.
    pub field: String,
    /// Line of the file, from 1, where the field is written in one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u64>,
    /// What kind of note it is.
    pub kind: NoteKind,
    /// What to know, as it reads after the field.
    pub text: String,
}

/// Kinds of notes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoteKind {
    /// Kept as it is; nothing depends on it.
    Label,
    /// Something else happens than what was asked.
    Instead,
    /// Possible here, and not by the specification.
    Beyond,
    /// Anything else.
    Remark,
}

/// How a job is read.
#[derive(Clone, Debug, Default)]
pub struct ReadOptions {
    /// The file: paths in it are relative to its folder, and errors name it.
    pub file: Option<PathBuf>,
    /// Changes before it is read, in order: `limits.max_trials=4`, `search_space.0.number_of_epochs=1`.
    pub changes: Vec<String>,
    /// Folder that stands for data stores of the cloud, for labelled images and for the images that they name.
    pub data_root: Option<PathBuf>,
}

impl ReadOptions {
    /// Options for a file, without changes.
    #[must_use]
    pub fn of(file: &Path) -> Self {
        Self { file: Some(file.to_owned()), ..Self::default() }
    }

    fn data(&self) -> data::Data {
        let folder = self.file.as_deref().and_then(Path::parent).map(Path::to_owned).unwrap_or_default();
        data::Data { folder, root: self.data_root.clone() }
    }

    fn text(&self) -> Result<String, JobErrors> {
        let file = self.file.as_deref().unwrap_or(Path::new(""));
        std::fs::read_to_string(file).map_err(|error| {
            let missing = error.kind() == std::io::ErrorKind::NotFound;
            let reason = if missing { "there is no such file".to_owned() } else { error.to_string() };
            JobErrors::one(self.file.clone(), Problem::Unreadable { reason, missing })
        })
    }

    /// Whether the file is TOML by its name.
    fn is_toml(&self) -> bool {
        self.file.as_deref().and_then(Path::extension).is_some_and(|end| end.eq_ignore_ascii_case("toml"))
    }

    /// The tree of a text, with its changes made.
    fn tree(&self, text: &str, log: &mut fields::Log) -> Result<tree::Tree, JobErrors> {
        let read = if self.is_toml() { tree::toml(text) } else { tree::yaml(text) };
        let mut tree = read.map_err(|(place, problem)| JobErrors {
            file: self.file.clone(),
            errors: vec![JobError { place, field: String::new(), problem }],
        })?;
        for change in &self.changes {
            edit::apply(&mut tree, change, log);
        }
        Ok(tree)
    }

    /// The job, or everything that is wrong.
    fn answer(&self, job: Option<Job>, log: fields::Log) -> Result<Job, JobErrors> {
        let mut errors = log.errors;
        errors.sort_by_key(|error| match error.place {
            Place::Option(_) => (0, 0),
            Place::Line(line) => (1, line),
            Place::Nowhere => (2, 0),
        });
        match job {
            Some(mut job) if errors.is_empty() => {
                job.notes.sort_by_key(|note| note.line.unwrap_or(u64::MAX));
                Ok(job)
            }
            Some(_) | None => Err(JobErrors { file: self.file.clone(), errors }),
        }
    }
}
