//! Masks of objects in plain Rust: run lengths, polygons and what a network gives, so that data, evaluation, prediction and
//! server use one rule for each.

mod between;
mod bits;
mod error;
mod grey;
mod overlap;
mod rle;
#[cfg(test)]
mod tests;
mod text;

pub use bits::Mask;
pub use error::{MAX_PIXELS, MaskError};
pub use rle::Rle;
