//! Pascal VOC folders: `Annotations/*.xml`, `JPEGImages/*`, `ImageSets/Main/*.txt`.
//!
//! Two readings of `xmin ymin xmax ymax` are in use. The specification, LabelImg and most others take them as corners in
//! pixels, 0 at the left and upper edge ([`Pixels::Corners`], the default): a box from 10 to 20 is 10 pixels wide. The original
//! VOC counts pixels from 1 and includes both ends ([`Pixels::Inclusive`]): the same numbers mean 11 pixels, from 9 to 20. `difficult`
//! objects are left out of VOC's metrics, as crowds are of COCO's, so one is read and written as the other.

pub(super) mod annotation;
mod element;
mod layout;
mod pixels;
mod read;
mod write;

pub use pixels::Pixels;
pub use read::read;
pub use write::write;
pub(super) use write::{list_name, xml};
