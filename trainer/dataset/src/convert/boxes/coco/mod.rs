//! COCO's detection JSON: `images`, `annotations` with `bbox` (`x y width height` in pixels, from the left upper corner, not
//! rounded), `iscrowd`, `segmentation`, and `categories`.
//!
//! Polygons and run-length masks become outlines; segments of one object that overlap are united, as pycocotools does. Written
//! are polygons, and run lengths of objects with holes, of segments that overlap, and of crowds.

mod file;
mod foreign;
mod json;
mod read;
mod rle;
mod unit;
mod write;

pub(super) use json::{lenient, number, shown};
pub use read::read;
pub use write::write;
