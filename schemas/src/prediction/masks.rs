//! Masks in the answers of a segmentation model.

use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How the mask of an object is answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MaskForm {
    /// Its outline, simplified to at most `max_number_of_polygon_points` points.
    #[default]
    Polygon,
    /// Its pixels as COCO's compressed run lengths.
    Rle,
    /// Its pixels as a PNG of the rectangle around them.
    Png,
    /// Not at all.
    None,
}

impl MaskForm {
    /// Every form, in the order to name them.
    pub const NAMES: &'static [(&'static str, Self)] =
        &[("polygon", Self::Polygon), ("rle", Self::Rle), ("png", Self::Png), ("none", Self::None)];
}

impl FromStr for MaskForm {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let known = Self::NAMES.iter().find(|(name, _)| *name == text).map(|(_, form)| *form);
        known.ok_or_else(|| {
            let names: Vec<&str> = Self::NAMES.iter().map(|(name, _)| *name).collect();
            format!("masks is none of {}", names.join(", "))
        })
    }
}

/// The pixels of an object as COCO writes them; pycocotools' `mask.decode` reads it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskRle {
    /// Height and width of the image in pixels.
    pub size: [u32; 2],
    /// Lengths of runs without and with the object, column by column, in COCO's text.
    pub counts: String,
}

/// The pixels of an object as an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaskPng {
    /// Pixels of the image that lie to the left of it.
    pub left: u32,
    /// Pixels of the image that lie above it.
    pub top: u32,
    /// Base64 of a grey PNG file: 255 where the object is, else 0. Empty where it has no pixel.
    pub image: String,
}
