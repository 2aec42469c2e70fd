//! What a setting is.

use super::kind::Kind;
use crate::Task;

/// What is known about one setting besides its value.
#[derive(Debug)]
pub struct SettingSpec {
    /// The name in files and on command lines.
    pub name: &'static str,
    /// Other names that are accepted: the specification's newer spelling.
    pub aliases: &'static [&'static str],
    /// What it holds, with limits.
    pub kind: Kind,
    /// Meaning, for people.
    pub help: &'static str,
    /// Tasks it means something to.
    pub tasks: &'static [Task],
}
