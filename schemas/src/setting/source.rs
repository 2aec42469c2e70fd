//! Sources of a setting's value.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the value of a setting came from; a later one here wins over an earlier one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// The default of this model or task, where it differs from the general one.
    Model,
    /// The recipe `auto`, which chose it for the data.
    Recipe,
    /// A job or configuration file.
    File,
    /// The command line.
    CommandLine,
}

impl Source {
    /// True when a person chose the value.
    #[must_use]
    pub const fn is_explicit(self) -> bool {
        match self {
            Self::Default | Self::Model | Self::Recipe => false,
            Self::File | Self::CommandLine => true,
        }
    }

    /// How it reads in a sentence.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Model => "model's default",
            Self::Recipe => "recipe",
            Self::File => "file",
            Self::CommandLine => "command line",
        }
    }
}

/// Source by name; an absent name means [`Source::Default`].
pub type Sources = BTreeMap<String, Source>;
