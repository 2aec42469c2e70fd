//! Answers that are drawn on the image.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::setting::choice;

choice! {
    /// The kind of file that a drawn answer is.
    Drawing {
        /// Small, with the losses of JPEG.
        Jpeg = "jpeg",
        /// Without losses.
        Png = "png",
    }
}

impl Drawing {
    /// The media type of such a file.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
        }
    }
}

impl FromStr for Drawing {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = [Self::Jpeg, Self::Png].into_iter().find(|drawing| drawing.as_str() == text);
        known.ok_or_else(|| format!("drawn is none of {}", Self::NAMES.join(", ")))
    }
}
