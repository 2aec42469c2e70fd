//! Masks as image files, to outlines and back: an image of numbers, one for each object (as Pascal VOC's `SegmentationObject`
//! has them), or an image for each object.
//!
//! A mask becomes the outline along the edges of its pixels, so that nothing is lost. Its class is what an option, a folder,
//! Pascal VOC's masks of classes or its XML files say; nothing is guessed.

mod classes;
mod layout;
mod objects;
mod read;
mod write;

use std::path::PathBuf;

use super::Sizes;

pub(super) use objects::whole;
pub use read::read;
pub use write::{Style, write};

/// How masks are read.
#[derive(Clone, Debug, Default)]
pub struct MaskOptions {
    /// What a file of masks holds; otherwise told by the folders.
    pub kind: Option<MaskKind>,
    /// Folder of the images.
    pub images: Option<PathBuf>,
    /// Class of every object.
    pub label: Option<String>,
    /// File of the names of numbers: JSON, or CVAT's `labelmap.txt`.
    pub label_map: Option<PathBuf>,
    /// Folder of masks of classes, such as `SegmentationClass`.
    pub class_masks: Option<PathBuf>,
    /// Folder of Pascal VOC's XML files, which say the classes of boxes.
    pub annotations: Option<PathBuf>,
    /// Number of pixels that belong to no object, beside 0.
    pub void: Option<u32>,
    /// Which version of an image its mask is of.
    pub sizes: Sizes,
}

/// What a file of masks holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MaskKind {
    /// One object: the pixels that are not 0.
    Instances,
    /// The objects of an image, each a number of its own.
    Ids,
}
