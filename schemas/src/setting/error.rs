//! Errors of settings.

use serde_json::Value;

/// One thing that is wrong with the settings of a run. Names are given in the caller's spelling where there is one.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum SettingError {
    /// No such setting.
    #[error("unknown setting `{name}`{}", suggestion(nearest.as_deref()))]
    Unknown {
        /// As given.
        name: String,
        /// The valid name that is most like it, if any is.
        nearest: Option<String>,
    },
    /// A value that cannot be read as the setting's kind.
    #[error("`{name}` is {value}, which is not {expected}")]
    WrongType {
        /// As given.
        name: String,
        /// As given.
        value: Value,
        /// What is accepted, as it reads after "is not".
        expected: String,
    },
    /// A value of the right kind outside its limits.
    #[error("`{name}` is {value}, outside its range {range}; give a value inside it")]
    OutOfRange {
        /// As given.
        name: String,
        /// As given.
        value: Value,
        /// In interval notation, such as `[0, 1)`.
        range: String,
    },
    /// A setting that exists, but for something else than this run.
    #[error("`{name}` is {owner}, which means nothing to the task of this run; remove it")]
    OtherTask {
        /// As given.
        name: String,
        /// What kind of setting it is, such as `a detection setting`.
        owner: String,
    },
    /// A name of the specification that Fovea answers in another way.
    #[error("`{name}` cannot be {value}: {reason}")]
    NotOffered {
        /// As given.
        name: String,
        /// As given.
        value: Value,
        /// Why, and what to do.
        reason: String,
    },
    /// The same setting twice in one place, perhaps under two of its names.
    #[error("`{name}` is given twice in the {place}, as `{first}` and `{second}`; keep one")]
    Duplicate {
        /// The setting.
        name: String,
        /// Where, such as `command line`.
        place: String,
        /// First spelling.
        first: String,
        /// Second spelling.
        second: String,
    },
    /// Something without which nothing can be planned.
    #[error("`{name}` is missing; {hint}")]
    Missing {
        /// The setting.
        name: String,
        /// What to give.
        hint: String,
    },
    /// Two settings that cannot both be meant.
    #[error("{first} contradicts {second}: {advice}")]
    Contradiction {
        /// `name = value` of the one.
        first: String,
        /// `name = value` of the other.
        second: String,
        /// What to change.
        advice: String,
        /// Whether the first has no effect beside the second, so that leaving it out changes nothing.
        idle: bool,
    },
}

impl SettingError {
    pub(crate) fn other_task(name: &str, owner: &str) -> Self {
        Self::OtherTask { name: name.to_owned(), owner: owner.to_owned() }
    }

    /// The setting without effect, by its own name, when that is all that is wrong: a run without it is the run that was asked for.
    #[must_use]
    pub fn idle(&self) -> Option<&str> {
        match self {
            Self::Contradiction { first, idle: true, .. } => first.split(' ').next(),
            Self::Contradiction { .. }
            | Self::Unknown { .. }
            | Self::WrongType { .. }
            | Self::OutOfRange { .. }
            | Self::OtherTask { .. }
            | Self::NotOffered { .. }
            | Self::Duplicate { .. }
            | Self::Missing { .. } => None,
        }
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map_or_else(|| "; `trainer train --help` lists all".to_owned(), |name| format!("; did you mean `{name}`?"))
}
