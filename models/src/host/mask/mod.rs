//! Masks of objects in plain Rust: run lengths, polygons and what a network gives, so that data, evaluation, prediction and
//! server use one rule for each.

mod answer;
mod between;
mod bits;
mod coco;
mod error;
mod fill;
mod grey;
mod outline;
mod overlap;
mod paste;
mod rle;
mod simplify;
#[cfg(test)]
mod tests;
mod text;
mod trace;

pub use bits::Mask;
pub use error::{MAX_PIXELS, MaskError};
pub use fill::Fill;
pub use outline::{Outline, Ring};
pub use paste::{FARTHEST, Paste};
pub use rle::Rle;
