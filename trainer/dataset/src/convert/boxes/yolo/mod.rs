//! YOLO's layout: `data.yaml`, images below a folder `images`, and for each a text file below `labels` beside it, with a line
//! `class centre_x centre_y width height` (fractions) per object, or `class x1 y1 x2 y2 ..` for an outline.

mod description;
mod labels;
mod layout;
mod read;
mod shape;
mod write;

pub use read::read;
pub use shape::YoloRows;
pub use write::write;
