//! Image code in plain Rust, shared by training, evaluation and serving so that all three see the same bytes.
//!
//! Everything works on [`Rgb`]: 8-bit sRGB values, rows from top to bottom, pixels from left to right, channels red, green, blue.
//! Resampling equals Pillow's bit for bit ([`resize`]), so a model trained elsewhere with torchvision's transforms gets the
//! pixels it expects; decoding differs from libjpeg by a few levels, because inverse DCT and chroma upsampling are not exact
//! operations ([`decode`]).

mod affine;
pub mod caption;
mod colour;
mod decode;
pub mod draw;
mod encode;
mod error;
mod explain;
mod fit;
mod foreign;
mod format;
mod hsv;
mod input;
mod jpeg;
mod kernel;
mod limits;
pub mod mask;
mod orient;
mod prepare;
mod resize;
mod rgb;
mod shown;
mod sniff;
mod stored;
mod tiles;
mod tone;
mod values;
mod weigh;

pub use affine::{Affine, affine, warp};
pub use colour::{brightness, contrast, hue, saturation};
pub use decode::{Header, decode, decode_top, decode_while, probe, probe_head, probe_memory};
pub use encode::{encode_jpeg, encode_numbers, encode_palette, encode_png};
pub use error::DecodeError;
pub use explain::{Attribution, Occlusion};
pub use fit::{Placement, TALL, fill};
pub use foreign::Foreign;
pub use format::{Format, IMAGE_EXTENSIONS, has_image_ending};
pub use hsv::{HsvGains, change_hsv};
pub use limits::Limits;
pub use orient::Turn;
pub use prepare::{crop_resize, flip_horizontal, prepare, prepared_size, thumbnail};
pub use resize::{Resizer, resize, taps};
pub use rgb::{Region, Rgb};
pub use schemas::prediction::Detection;
pub use stored::{Stored, StoredColour, stored};
pub use tiles::{Merge, MergeRule, Tile, cut, merge, shift, tiles};
pub use tone::{autocontrast, equalize, posterize, sharpness, solarize};
pub use values::{Values, values};
