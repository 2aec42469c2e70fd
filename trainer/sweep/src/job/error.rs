//! What can be wrong with a job file, with its place. All of it is told at once.

use std::fmt;
use std::path::PathBuf;

use schemas::{Coded, ErrorCode, SettingError};

use super::distribution::DistributionError;

/// Where something is written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// A line of the file, from 1.
    Line(u64),
    /// An option of the command line, as it was given.
    Option(String),
    /// Nowhere: it is missing, or was chosen unasked.
    #[default]
    Nowhere,
}

/// One thing that is wrong, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct JobError {
    /// Where it is written.
    pub place: Place,
    /// Dotted path of the field, such as `search_space.0.learning_rate`; empty for the file as a whole.
    pub field: String,
    /// What is wrong.
    pub problem: Problem,
}

/// What is wrong.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// The file cannot be read.
    #[error("cannot be read: {reason}")]
    Unreadable {
        /// What the system says.
        reason: String,
        /// Whether there is no such file.
        missing: bool,
    },
    /// The text is no YAML, or no TOML.
    #[error("is no {format}: {reason}")]
    Syntax {
        /// YAML or TOML.
        format: &'static str,
        /// What the reader says.
        reason: String,
    },
    /// No field has this name.
    #[error("unknown field{}", suggestion(nearest.as_deref()))]
    Unknown {
        /// The known name that is most like it.
        nearest: Option<String>,
    },
    /// A text where a list has to be, and the like.
    #[error("is {found}, where {expected} is expected")]
    Shape {
        /// What may stand there.
        expected: String,
        /// What stands there.
        found: String,
    },
    /// A required field is not there.
    #[error("is missing; {hint}")]
    Missing {
        /// What to give.
        hint: String,
    },
    /// Two fields that say the same.
    #[error("is given twice, also {other}; keep one")]
    Twice {
        /// Where else.
        other: String,
    },
    /// A value or a name that the settings refuse.
    #[error("{0}")]
    Setting(Box<SettingError>),
    /// A distribution that cannot be read, or not drawn from.
    #[error(transparent)]
    Distribution(#[from] DistributionError),
    /// A value that a distribution may give and that the setting refuses.
    #[error("{at}, {error}{hint}")]
    Reaches {
        /// Where it does.
        at: &'static str,
        /// What the setting says of it.
        error: Box<SettingError>,
        /// What to look at, or nothing.
        hint: &'static str,
    },
    /// A distribution of numbers that the setting cannot have.
    #[error("is a setting of {kind}, which {distribution} does not give; use {instead}")]
    Unfit {
        /// What the setting holds.
        kind: &'static str,
        /// The distribution.
        distribution: &'static str,
        /// Which ones do.
        instead: &'static str,
    },
    /// A model that is not there, or not for the task.
    #[error("`{name}` is no model of {task}{}", nearest.as_ref().map_or_else(models, |name| format!("; did you mean `{name}`?")))]
    Model {
        /// As given.
        name: String,
        /// The task.
        task: schemas::Task,
        /// The model that is most like it.
        nearest: Option<String>,
    },
    /// Data in the cloud.
    #[error("{address:?} {reason}; {hint}")]
    Cloud {
        /// As given.
        address: String,
        /// Why it is not found.
        reason: &'static str,
        /// What to do.
        hint: String,
    },
    /// Data that is not there.
    #[error("{0}")]
    Data(String, ErrorCode),
    /// Anything else, said in full.
    #[error("{0}")]
    Refused(String),
}

impl From<SettingError> for Problem {
    fn from(error: SettingError) -> Self {
        Self::Setting(Box::new(error))
    }
}

impl Problem {
    pub(super) fn refused(text: impl Into<String>) -> Self {
        Self::Refused(text.into())
    }

    fn code(&self) -> ErrorCode {
        match self {
            Self::Unreadable { missing: true, .. } => ErrorCode::FileNotFound,
            Self::Unreadable { missing: false, .. } => ErrorCode::Io,
            Self::Model { .. } => ErrorCode::UnsupportedModel,
            Self::Data(_, code) => *code,
            Self::Syntax { .. }
            | Self::Unknown { .. }
            | Self::Shape { .. }
            | Self::Missing { .. }
            | Self::Twice { .. }
            | Self::Setting(_)
            | Self::Distribution(_)
            | Self::Reaches { .. }
            | Self::Unfit { .. }
            | Self::Cloud { .. }
            | Self::Refused(_) => ErrorCode::InvalidSettings,
        }
    }
}

fn models() -> String {
    "; `trainer models` lists them".to_owned()
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

/// Everything that is wrong with a job, in the order of the file as far as it has one. Printed, it is a line for each.
#[derive(Debug, PartialEq, thiserror::Error)]
pub struct JobErrors {
    /// The file, if there is one.
    pub file: Option<PathBuf>,
    /// At least one.
    pub errors: Vec<JobError>,
}

impl JobErrors {
    pub(super) fn one(file: Option<PathBuf>, problem: Problem) -> Self {
        Self { file, errors: vec![JobError { place: Place::Nowhere, field: String::new(), problem }] }
    }

    /// Each error by itself, as it is printed.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        self.errors.iter().map(|error| self.line(error)).collect()
    }

    fn line(&self, error: &JobError) -> String {
        let file = self.file.as_ref().map(|file| file.display().to_string());
        let place = match (&error.place, file) {
            (Place::Line(line), Some(file)) => format!("{file}:{line}: "),
            (Place::Line(line), None) => format!("line {line}: "),
            (Place::Option(option), _) => format!("{option}: "),
            (Place::Nowhere, Some(file)) => format!("{file}: "),
            (Place::Nowhere, None) => String::new(),
        };
        match error.field.as_str() {
            "" => format!("{place}{}", error.problem),
            field => format!("{place}{field}: {}", error.problem),
        }
    }
}

impl fmt::Display for JobErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.lines().join("\n"))
    }
}

impl Coded for JobErrors {
    /// That of the first error.
    fn code(&self) -> ErrorCode {
        self.errors.first().map_or(ErrorCode::Internal, |error| error.problem.code())
    }
}
