//! How a classifier wants its pixels.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Resampling filter; both are Pillow's antialiased filters of that name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// Triangle filter, support 1.
    Bilinear,
    /// Keys cubic with a = -0.5, support 2.
    Bicubic,
}

/// From a decoded RGB image to the network's input, for evaluation and serving: the shorter side is resized to `resize`
/// (the longer to `resize * long / short`, rounded down), a centred square of `crop` pixels is cut (offset
/// `round_half_even((side - crop) / 2)`), and each channel becomes `(pixel - mean) / std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Preprocessing {
    /// Length of the shorter side after resizing, in pixels, at least `crop`.
    pub resize: u32,
    /// Side of the square cut from the middle, in pixels.
    pub crop: u32,
    /// Filter used to resize.
    pub interpolation: Interpolation,
    /// Mean per channel (red, green, blue), on the 0..255 scale.
    pub mean: [f32; 3],
    /// Standard deviation per channel, on the 0..255 scale, above 0.
    pub std: [f32; 3],
}
