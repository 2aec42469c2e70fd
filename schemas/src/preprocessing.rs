//! Preprocessing of images for a network: fit, filter, mean and standard deviation.

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

/// How an image of any size is fitted to the network's input. The arithmetic is in whole numbers, so that host, graph and
/// trainer agree exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Fit {
    /// Classifiers: the shorter side is resized to `resize` (the longer to `resize * long / short`, rounded down) and a
    /// centred square of `crop` pixels is cut (offset `round_half_even((side - crop) / 2)`).
    Crop {
        /// Length of the shorter side after resizing, in pixels, at least `crop`.
        resize: u32,
        /// Side of the square cut from the middle, in pixels.
        crop: u32,
    },
    /// YOLO: the longer side becomes `letterbox` pixels (the other `side * letterbox / longer`, rounded up), and the
    /// image is centred in a grey frame (114) whose sides are the next multiples of [`STRIDE`].
    Letterbox {
        /// Length of the longer side after resizing, in pixels; a multiple of [`STRIDE`].
        #[serde(rename = "letterbox")]
        side: u32,
    },
    /// R-CNN and RetinaNet: the shorter side becomes `min_size` pixels, unless the longer would then exceed `max_size`,
    /// which is then its length (both rounded down); the image lies at the top left of a frame in the mean colour whose
    /// sides are the next multiples of [`STRIDE`].
    Shorter {
        /// Length of the shorter side after resizing, in pixels.
        min_size: u32,
        /// Largest length of the longer side, in pixels.
        max_size: u32,
    },
}

/// Sides of a detector's input are multiples of this, the stride of its coarsest feature map, in pixels.
pub const STRIDE: u32 = 32;

/// From a decoded RGB image to the network's input, for evaluation and serving: the image is fitted, and each channel
/// becomes `(pixel - mean) / std`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Preprocessing {
    /// How the image is resized, and cut or framed.
    #[serde(flatten)]
    pub fit: Fit,
    /// Filter used to resize.
    pub interpolation: Interpolation,
    /// Mean per channel (red, green, blue), on the 0..255 scale.
    pub mean: [f32; 3],
    /// Standard deviation per channel, on the 0..255 scale, above 0.
    pub std: [f32; 3],
}

impl Fit {
    /// Side in pixels of the largest square that an image can become: what cost and shapes are stated for.
    #[must_use]
    pub const fn side(self) -> u32 {
        match self {
            Self::Crop { crop, .. } => crop,
            Self::Letterbox { side } => side,
            Self::Shorter { min_size, .. } => min_size.next_multiple_of(STRIDE),
        }
    }
}

impl Preprocessing {
    /// Whether the sizes fit together.
    ///
    /// # Errors
    /// What does not, with its limit.
    pub fn check(&self) -> Result<(), String> {
        match self.fit {
            Fit::Crop { resize, crop } if crop == 0 || resize < crop => {
                Err(format!("crop {crop} must be at least 1 and at most resize {resize}"))
            }
            Fit::Letterbox { side } if side == 0 || !side.is_multiple_of(STRIDE) => {
                Err(format!("letterbox {side} must be a multiple of {STRIDE} and at least that"))
            }
            Fit::Shorter { min_size, max_size } if min_size == 0 || max_size < min_size => {
                Err(format!("min_size {min_size} must be at least 1 and at most max_size {max_size}"))
            }
            Fit::Crop { .. } | Fit::Letterbox { .. } | Fit::Shorter { .. } => Ok(()),
        }
    }

    /// [`Fit::side`] of its fit.
    #[must_use]
    pub const fn side(&self) -> u32 {
        self.fit.side()
    }

    /// The same with another fit.
    #[must_use]
    pub fn with_fit(&self, fit: Fit) -> Self {
        Self { fit, ..self.clone() }
    }

    /// The same with other sizes of a classifier, in pixels.
    #[must_use]
    pub fn cropped(&self, resize: u32, crop: u32) -> Self {
        self.with_fit(Fit::Crop { resize, crop })
    }

    /// The same without cutting anything off: a classifier's image keeps the margin that its crop would drop.
    #[must_use]
    pub fn uncropped(&self) -> Self {
        match self.fit {
            Fit::Crop { resize, crop } => self.cropped(resize, resize.max(crop)),
            Fit::Letterbox { .. } | Fit::Shorter { .. } => self.clone(),
        }
    }

    /// Pixels of the largest image that it makes.
    #[must_use]
    pub fn largest(&self) -> u128 {
        let square = |side: u32| u128::from(side) * u128::from(side);
        let up = |side: u32| u128::from(side.next_multiple_of(STRIDE));
        match self.fit {
            Fit::Crop { crop, .. } => square(crop),
            Fit::Letterbox { side } => square(side),
            Fit::Shorter { min_size, max_size } => up(min_size) * up(max_size),
        }
    }

    /// `(resize, crop)` of a classifier; `None` for a detector, whose images are not cut.
    #[must_use]
    pub const fn crop(&self) -> Option<(u32, u32)> {
        match self.fit {
            Fit::Crop { resize, crop } => Some((resize, crop)),
            Fit::Letterbox { .. } | Fit::Shorter { .. } => None,
        }
    }
}
