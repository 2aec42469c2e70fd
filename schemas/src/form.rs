//! Forms of an exported file.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::choice;

choice! {
    /// How much of the preprocessing is inside an exported file.
    Form {
        /// All of it: `images` is decoded RGB of any size.
        Whole = "whole",
        /// Only the normalisation: `images` is already resized, and cropped or framed, by the host.
        Prepared = "prepared",
    }
}

impl Form {
    /// The name in the file's metadata and on command lines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        self.as_str()
    }
}

/// The name of a form that is none.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no form of a file; it is whole or prepared")]
pub struct UnknownForm(pub String);

impl std::str::FromStr for Form {
    type Err = UnknownForm;

    fn from_str(text: &str) -> Result<Self, UnknownForm> {
        match text {
            "whole" => Ok(Self::Whole),
            "prepared" => Ok(Self::Prepared),
            _ => Err(UnknownForm(text.to_owned())),
        }
    }
}
