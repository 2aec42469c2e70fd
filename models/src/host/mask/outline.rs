//! Polygons.

use super::super::rgb::Region;
use super::super::tiles::Tile;
use super::error::MaskError;

/// A closed line through its points `[x, y]`; the last is joined to the first.
pub type Ring = Vec<[f64; 2]>;

/// The outline of an object: rings in continuous pixels of its image, where 0 is the left (top) edge of the first pixel and
/// the width (height) the right (bottom) edge of the last. What the rings hold is said by a [`Fill`](super::Fill).
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outline {
    /// The rings, in no special order.
    pub rings: Vec<Ring>,
}

impl Outline {
    /// The outline of segments `[x1, y1, x2, y2, ..]`; each coordinate times `scale` is in pixels. For fractions of an image
    /// that is its width and height, for COCO's pixels 1 and 1.
    ///
    /// # Errors
    /// A segment has an odd number of coordinates, fewer than six, or one that is no finite number.
    pub fn from_segments(segments: &[Vec<f64>], scale: [f64; 2]) -> Result<Self, MaskError> {
        let ring = |(segment, coordinates): (usize, &Vec<f64>)| {
            let wrong = |reason| MaskError::Segment { segment, reason };
            if coordinates.len() < 6 || coordinates.len() % 2 == 1 {
                let reason = format!("it has {} coordinates, not pairs of at least three points", coordinates.len());
                return Err(wrong(reason));
            }
            if let Some(bad) = coordinates.iter().find(|value| !value.is_finite()) {
                return Err(wrong(format!("{bad} is no coordinate")));
            }
            Ok(coordinates.chunks_exact(2).map(|point| [point[0] * scale[0], point[1] * scale[1]]).collect())
        };
        Ok(Self { rings: segments.iter().enumerate().map(ring).collect::<Result<_, _>>()? })
    }

    /// The segments `[x1, y1, x2, y2, ..]` as fractions of an image of `width` x `height` pixels, in `[0, 1]`: what rows of
    /// data and answers of a server hold. Parts outside of the image are moved to its edge.
    #[must_use]
    pub fn fractions(&self, width: u32, height: u32) -> Vec<Vec<f64>> {
        let size = [f64::from(width.max(1)), f64::from(height.max(1))];
        let fraction = |point: &[f64; 2]| [0, 1].map(|axis| (point[axis] / size[axis]).clamp(0.0, 1.0));
        self.rings.iter().map(|ring| ring.iter().flat_map(fraction).collect()).collect()
    }

    /// Points of all rings.
    #[must_use]
    pub fn points(&self) -> usize {
        self.rings.iter().map(Vec::len).sum()
    }

    /// The outline with each point moved.
    #[must_use]
    pub fn map(&self, mut change: impl FnMut([f64; 2]) -> [f64; 2]) -> Self {
        Self { rings: self.rings.iter().map(|ring| ring.iter().map(|point| change(*point)).collect()).collect() }
    }

    /// The smallest rectangle around all points; `None` where there are none.
    #[must_use]
    pub fn bounds(&self) -> Option<Region> {
        around(self.rings.iter().flatten())
    }

    /// The smallest rectangle of pixels of an image of `width` x `height` pixels that holds all pixels of the object, whatever
    /// the rule; without rows or columns where the object lies outside of the image.
    #[must_use]
    pub fn window(&self, width: u32, height: u32) -> Tile {
        reach(self.rings.iter().flatten(), Tile { x0: 0, y0: 0, x1: width, y1: height })
    }
}

fn around<'a>(mut points: impl Iterator<Item = &'a [f64; 2]>) -> Option<Region> {
    let [x, y] = *points.next()?;
    Some(points.fold(Region { x0: x, y0: y, x1: x, y1: y }, |around, &[x, y]| Region {
        x0: around.x0.min(x),
        y0: around.y0.min(y),
        x1: around.x1.max(x),
        y1: around.y1.max(y),
    }))
}

/// The pixels of a window that lines between the points can reach.
pub(super) fn reach<'a>(points: impl Iterator<Item = &'a [f64; 2]>, window: Tile) -> Tile {
    let Some(Region { x0, y0, x1, y1 }) = around(points) else {
        return Tile { x1: window.x0, y1: window.y0, ..window };
    };
    // From numbers to the nearest pixels; NaN is the first.
    let stretch = |from: f64, to: f64, side: [u32; 2]| {
        let start = (from.floor() as u32).clamp(side[0], side[1]);
        (start, (to.ceil() as u32).clamp(start, side[1]))
    };
    let (x0, x1) = stretch(x0, x1, [window.x0, window.x1]);
    let (y0, y1) = stretch(y0, y1, [window.y0, window.y1]);
    Tile { x0, y0, x1, y1 }
}
