//! COCO's detection JSON: `images`, `annotations` with `bbox` (`x y width height` in pixels, from the left upper corner, not
//! rounded), `iscrowd`, `segmentation`, and `categories`.
//!
//! Polygons are kept as outlines; run-length masks, which COCO uses for crowds, are not, but their boxes are.

mod file;
mod foreign;
mod json;
mod read;
mod rle;
mod unit;
mod write;

pub use read::read;
pub use write::write;
