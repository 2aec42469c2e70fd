//! LabelMe: a JSON file for each image, with its shapes in pixels.
//!
//! A polygon, rectangle, circle and mask is an object; shapes of one `group_id` and label are one object together. Points and
//! lines enclose nothing and are left out. The image is the file that `imagePath` names, not the copy in `imageData`.

mod read;
mod shape;
mod write;

pub use read::read;
pub use write::write;
