//! Where in a file weights were found.

use std::fmt;

use serde::Serialize;

/// Where in a file weights were found.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Origin {
    /// The dictionary, such as `state_dict`; empty for the whole file.
    pub dictionary: String,
    /// What every key begins with there and not in the network, such as `module.`.
    pub prefix: String,
    /// What every key begins with in the network and not there, such as `backbone.body.`, where the file is of that part alone.
    pub part: String,
    /// Dictionaries that fit as well, and were not taken because their names come later.
    pub as_good: Vec<String>,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.dictionary.as_str(), self.prefix.as_str()) {
            ("", "") => {}
            ("", prefix) => write!(f, "taken: the keys that begin with '{prefix}'")?,
            (dictionary, "") => write!(f, "taken: '{dictionary}'")?,
            (dictionary, prefix) => write!(f, "taken: of '{dictionary}' the keys that begin with '{prefix}'")?,
        }
        if !self.part.is_empty() {
            let begin = if self.dictionary.is_empty() && self.prefix.is_empty() { "taken" } else { "" };
            write!(f, "{begin} for '{}'", self.part)?;
        }
        match self.as_good.as_slice() {
            [] => Ok(()),
            others => write!(f, " ('{}' fits as well)", others.join("', '")),
        }
    }
}
