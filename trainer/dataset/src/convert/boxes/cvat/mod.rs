//! CVAT for images 1.1: an XML file of images with their shapes in pixels.
//!
//! A polygon, box, ellipse and mask is an object; shapes of one `group_id` and label are one object together, as CVAT's own
//! exports have it. Points and lines enclose nothing and are left out.

mod element;
mod read;
mod shape;
mod write;

pub use read::read;
pub use write::write;
