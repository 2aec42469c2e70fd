//! Small images for the page of a check, with what is meant marked on them.

use models::host::Rgb;
use models::host::draw::{self, Mark};
use report::{ReportError, Thumbnail};

/// Longer side in pixels of an image without marks.
const SIDE: u32 = 240;

/// An image and its marks.
pub struct Marked<'a> {
    /// The image.
    pub image: &'a Rgb,
    /// What is meant, in pixels of the image.
    pub marks: Vec<Mark>,
    /// What to call it.
    pub caption: String,
    /// Longer side in pixels where there are marks.
    pub side: u32,
}

impl Marked<'_> {
    /// The image made small, with its marks and what `finish` draws on it besides; and what lies around the first mark, where it would
    /// be hard to see.
    ///
    /// # Errors
    /// When an image cannot be encoded.
    pub fn thumbnails(&self, finish: impl FnOnce(&mut Rgb)) -> Result<Vec<Thumbnail>, ReportError> {
        let side = if self.marks.is_empty() { SIDE } else { self.side };
        let thumbnail =
            |drawn: &Rgb, caption: &str| Thumbnail::new((drawn.width, drawn.height), &drawn.data, side, caption);
        let mut whole = draw::fitted(self.image, &self.marks, side);
        finish(&mut whole);
        let mut all = vec![thumbnail(&whole, &self.caption)?];
        if let Some(near) = draw::close_up(self.image, &self.marks, side) {
            all.push(thumbnail(&near, &format!("{}, enlarged", self.caption))?);
        }
        Ok(all)
    }
}
