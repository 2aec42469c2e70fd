//! How an object can be written where several rings are not even-odd, as rows have them.

use models::host::mask::{Fill, Mask, Outline};

use super::LabelledObject;

/// What is to be written of an object's outline.
pub enum Form {
    /// It has none.
    Box,
    /// Segments `x1 y1 x2 y2 ..` in pixels that mean the same however they are put together: none overlaps another.
    Segments(Vec<Vec<f64>>),
    /// Its pixels: it has holes, or segments that overlap.
    Pixels(Mask),
}

impl Form {
    /// The form of an object of an image of `size` pixels.
    pub fn of(object: &LabelledObject, size: [u32; 2]) -> Self {
        let Some(outline) = outlined(object, size) else { return Self::Box };
        let segments = || outline.rings.iter().map(|ring| ring.concat()).collect();
        if outline.rings.len() < 2 {
            return Self::Segments(segments());
        }
        let window = outline.window(size[0], size[1]);
        let odd = outline.rasterise(Fill::CocoEvenOdd, window);
        if odd.bounds().is_none() || odd == outline.rasterise(Fill::Coco, window) {
            return Self::Segments(segments());
        }
        Self::Pixels(odd)
    }
}

/// The pixels of an object of an image of `size` pixels; nothing where it has no outline or that holds no pixel's middle.
pub fn pixels(object: &LabelledObject, size: [u32; 2]) -> Option<Mask> {
    let outline = outlined(object, size)?;
    let mask = outline.covered(size[0], size[1]);
    let bounds = mask.bounds()?;
    Some(mask.within(bounds))
}

fn outlined(object: &LabelledObject, size: [u32; 2]) -> Option<Outline> {
    let outline = Outline::from_segments(&object.polygon, size.map(f64::from)).ok()?;
    (!outline.rings.is_empty()).then_some(outline)
}
