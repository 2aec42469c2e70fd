//! Image code in plain Rust, shared by training, evaluation and serving so that all three see the same bytes.
//!
//! Everything works on [`Rgb`]: 8-bit sRGB values, rows from top to bottom, pixels from left to right, channels red, green, blue.
//! Resampling equals Pillow's bit for bit ([`resize`]), so a model trained elsewhere with torchvision's transforms gets the
//! pixels it expects; decoding differs from libjpeg by a few levels, because inverse DCT and chroma upsampling are not exact
//! operations ([`decode`]).

mod affine;
mod colour;
mod decode;
mod encode;
mod explain;
mod fit;
mod foreign;
mod hsv;
mod input;
mod jpeg;
mod kernel;
mod orient;
mod prepare;
mod resize;
mod tiles;
mod tone;
mod weigh;

pub use affine::{Affine, affine};
pub use colour::{brightness, contrast, hue, saturation};
pub use decode::{
    DecodeError, Format, Header, Limits, decode, decode_top, decode_while, probe, probe_head, probe_memory,
};
pub use encode::{encode_jpeg, encode_png};
pub use explain::{Attribution, Occlusion};
pub use fit::{Placement, fill};
pub use foreign::Foreign;
pub use hsv::{HsvGains, change_hsv};
pub use orient::Turn;
pub use prepare::{crop_resize, flip_horizontal, prepare, prepared_size, thumbnail};
pub use resize::{Resizer, resize, taps};
pub use schemas::prediction::Detection;
pub use tiles::{Merge, MergeRule, Tile, cut, merge, shift, tiles};
pub use tone::{autocontrast, equalize, posterize, sharpness, solarize};

/// An 8-bit RGB image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    /// Pixels per row, at least 1.
    pub width: u32,
    /// Rows, at least 1.
    pub height: u32,
    /// `height * width * 3` values, row by row, pixel by pixel, red green blue.
    pub data: Vec<u8>,
}

impl Rgb {
    /// An image of one colour; sides below 1 become 1.
    #[must_use]
    pub fn filled(width: u32, height: u32, colour: [u8; 3]) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        Self { width, height, data: colour.repeat(width as usize * height as usize) }
    }

    /// Values per row.
    pub(crate) fn stride(&self) -> usize {
        self.width as usize * 3
    }

    /// Panics unless the three fields fit together: the caller built the image wrongly.
    #[track_caller]
    pub(crate) fn check(&self) {
        assert!(
            self.width > 0 && self.height > 0 && self.data.len() == self.stride() * self.height as usize,
            "an Rgb of {}x{} pixels must hold 3 * width * height values and no side may be 0, but it holds {}",
            self.width,
            self.height,
            self.data.len()
        );
    }
}

/// A part of an image in continuous pixel coordinates: 0 is the left (top) edge of the first pixel, `width` (`height`) the
/// right (bottom) edge of the last. Rounded to `f32` where it is used, as Pillow does with `box=`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Region {
    /// Left edge.
    pub x0: f64,
    /// Top edge.
    pub y0: f64,
    /// Right edge.
    pub x1: f64,
    /// Bottom edge.
    pub y1: f64,
}

impl Region {
    /// All of `image`.
    #[must_use]
    pub fn whole(image: &Rgb) -> Self {
        Self { x0: 0.0, y0: 0.0, x1: f64::from(image.width), y1: f64::from(image.height) }
    }
}
