//! What a detector sees: images and their tiles, random views of them for training, and what evaluation sees.
//!
//! Boxes are carried through every change exactly: whatever is resized is resized as a whole to a whole number of pixels and put
//! at a whole number of pixels ([`paste::Paste`]), so that a box goes where its pixels go. Rotation and shear ([`turn::Turn`]) follow.

mod paste;
mod rcnn;
mod turn;
mod units;
mod yolo;

#[cfg(test)]
mod tests;

use std::sync::Arc;

use models::host::mask::Outline;
use models::host::{self, Region, Rgb, Tile};
use schemas::{Fit, Preprocessing};

use super::batch::{Scene, Target, View};
use super::dataset::{Images, SampleError};
use super::error::DataError;
use super::outline::within;

use super::target::Object;
use super::viewing::{Ground, Scratch, ViewKey};

pub use rcnn::RcnnAugmentation;
pub use units::Tiling;
pub(crate) use units::{Unit, Units};
pub use yolo::YoloAugmentation;

/// How a detector sees images.
#[derive(Clone, Debug)]
pub struct DetectorViews {
    /// Tiles that images are also cut into.
    pub tiling: Tiling,
    /// What is done to an image, or tile, in training.
    pub augmentation: DetectorAugmentation,
}

/// Random views for training.
#[derive(Clone, Debug)]
pub enum DetectorAugmentation {
    /// What evaluation sees.
    None,
    /// Crops, canvases and flips, for R-CNN and RetinaNet.
    Rcnn(RcnnAugmentation),
    /// Mosaics, scales and colours, for YOLO.
    Yolo(YoloAugmentation),
}

/// An object while it is carried about, with corners in pixels of whatever it is in.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Placed {
    pub corners: [f64; 4],
    pub class: usize,
    pub is_crowd: bool,
    pub outline: Option<Arc<Outline>>,
}

impl Placed {
    fn target(&self) -> Target {
        let (corners, outline) = (self.corners.map(|value| value as f32), self.outline.clone());
        Target { corners, class: self.class, is_crowd: self.is_crowd, outline }
    }

    /// The same elsewhere: every horizontal coordinate through `x`, every vertical one through `y`. Both grow with their
    /// argument, or both edges of a box change places.
    fn moved(&self, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> Self {
        let [x1, y1, x2, y2] = self.corners;
        let ((a, b), (c, d)) = ((x(x1), x(x2)), (y(y1), y(y2)));
        let corners = [a.min(b), c.min(d), a.max(b), c.max(d)];
        let outline = self.outline.as_ref().map(|outline| Arc::new(outline.map(|[px, py]| [x(px), y(py)])));
        Self { corners, outline, ..*self }
    }

    /// What of the object lies within `left, top, right, bottom`, which may be infinite; `None` where nothing of its outline
    /// does. A box alone is moved to the edges, and may have no area.
    fn within(&self, [left, top, right, bottom]: [f64; 4]) -> Option<Self> {
        let Some(outline) = &self.outline else {
            let [x1, y1, x2, y2] = self.corners;
            let corners = [x1.clamp(left, right), y1.clamp(top, bottom), x2.clamp(left, right), y2.clamp(top, bottom)];
            return Some(Self { corners, outline: None, ..*self });
        };
        let outline = within(outline, [left, top, right, bottom])?;
        let Region { x0, y0, x1, y1 } = outline.bounds()?;
        Some(Self { corners: [x0, y0, x1, y1], outline: Some(Arc::new(outline)), ..*self })
    }
}

/// An image or tile with its objects.
pub(super) struct Source {
    /// The whole image, of which [`Self::from`] counts.
    pub image: Arc<Rgb>,
    pub from: Tile,
    /// In pixels of the part that counts, 0 at its corner.
    pub objects: Vec<Placed>,
    /// Sample in the data set.
    pub index: usize,
    pub tile: Option<Tile>,
}

impl Source {
    fn size(&self) -> [u32; 2] {
        [self.from.height(), self.from.width()]
    }

    /// The finished view: `image`, of which `inner` rows and columns are the image, and `objects` in its pixels.
    fn finished(&self, image: Rgb, inner: [u32; 2], objects: &[Placed]) -> View {
        let objects = objects.iter().map(Placed::target).collect();
        let scene = Scene { objects, size: self.size(), inner, tile: self.tile };
        View { index: self.index, image: Arc::new(image), scene: Some(scene) }
    }
}

impl DetectorViews {
    /// Checks settings against each other.
    ///
    /// # Errors
    /// Which does not fit.
    pub(super) fn check(&self, p: &Preprocessing) -> Result<(), DataError> {
        match (&self.augmentation, p.fit) {
            (DetectorAugmentation::None, _) | (DetectorAugmentation::Rcnn(_), Fit::Shorter { .. }) => Ok(()),
            (DetectorAugmentation::Yolo(yolo), Fit::Letterbox { .. }) => yolo.check(),
            (DetectorAugmentation::Rcnn(_) | DetectorAugmentation::Yolo(_), fit) => Err(DataError::Setting {
                name: "augmentation",
                value: format!("for another kind of detector than the fit {fit:?}"),
                limit: "R-CNN and RetinaNet resize the shorter side, YOLO letterboxes",
            }),
        }
    }

    /// A training view.
    pub(super) fn train(
        &self,
        ground: &Ground,
        units: &Units,
        draw: ViewKey,
        scratch: &mut Scratch,
    ) -> Result<View, SampleError> {
        let source = self.source(&*ground.images, units.get(draw.unit))?;
        match &self.augmentation {
            DetectorAugmentation::None => Ok(plain(ground, &source, scratch)),
            DetectorAugmentation::Rcnn(rcnn) => {
                Ok(rcnn.view(&source, &ground.preprocessing, &mut scratch.resizer, &mut draw.rng()))
            }
            DetectorAugmentation::Yolo(yolo) => {
                // Any other sample of the epoch, with the tools that the image in hand does not occupy.
                let mut other = |unit: usize, scratch: &mut Scratch| {
                    let unit = units.get(unit);
                    let before = std::mem::replace(&mut scratch.current, unit.image);
                    let got =
                        ground.bad.unless_bad(&*ground.images, unit.image, || self.source(&*ground.images, unit))?;
                    scratch.current = before;
                    Ok(got)
                };
                let mut others = yolo::Others { units: units.len(), get: &mut other };
                yolo.view(&source, &ground.preprocessing, draw, &mut others, scratch)
            }
        }
    }

    /// What evaluation sees: the whole image and then every tile, whether or not it holds an object.
    pub(super) fn eval(&self, ground: &Ground, index: usize, scratch: &mut Scratch) -> Result<Vec<View>, SampleError> {
        let image = ground.images.image(index)?;
        let whole = Tile::whole(&image);
        let tiles = self.tiling.tiles(image.width, image.height);
        let parts = std::iter::once((whole, None)).chain(tiles.into_iter().map(|tile| (tile, Some(tile))));
        Ok(parts
            .map(|(from, tile)| {
                let objects = objects_in(ground.images.objects(index), &image, from);
                plain(ground, &Source { image: Arc::clone(&image), from, objects, index, tile }, scratch)
            })
            .collect())
    }

    fn source(&self, images: &dyn Images, unit: Unit) -> Result<Source, SampleError> {
        let image = images.image(unit.image)?;
        let tile = unit.tile.map(|number| self.tiling.tiles(image.width, image.height)[number]);
        let from = tile.unwrap_or_else(|| Tile::whole(&image));
        let objects = objects_in(images.objects(unit.image), &image, from);
        Ok(Source { image, from, objects, index: unit.image, tile })
    }
}

/// The view that evaluation makes of a source.
fn plain(ground: &Ground, source: &Source, scratch: &mut Scratch) -> View {
    let image = match source.tile {
        None => scratch.resizer.prepare(&source.image, &ground.preprocessing),
        Some(tile) => scratch.resizer.prepare(&host::cut(&source.image, tile), &ground.preprocessing),
    };
    let [height, width] = source.size();
    let place = ground.placement(width, height);
    let forward = |placed: &Placed| {
        let across = |x: f64| place.forward([x, 0.0, x, 0.0], width, height)[0];
        let down = |y: f64| place.forward([0.0, y, 0.0, y], width, height)[1];
        placed.moved(across, down)
    };
    let objects: Vec<Placed> = source.objects.iter().map(forward).collect();
    source.finished(image, [place.inner_height, place.inner_width], &objects)
}

/// The objects that a part of an image shows, cut to it, in its pixels: those of which it holds at least one pixel of area.
fn objects_in(objects: &[Object], image: &Rgb, part: Tile) -> Vec<Placed> {
    let whole = Tile::whole(image);
    let (width, height) = (f64::from(image.width), f64::from(image.height));
    let [left, top, right, bottom] = [part.x0, part.y0, part.x1, part.y1].map(f64::from);
    let placed = |object: &Object| {
        let outline = object.outline.as_ref().map(|outline| outline.map(|[x, y]| [x * width - left, y * height - top]));
        let [x1, y1, x2, y2] = object.corners.map(f64::from);
        let around = [x1 * width - left, y1 * height - top, x2 * width - left, y2 * height - top];
        let (around, outline) = match outline {
            // What the data says of a whole image is not judged.
            Some(outline) if part != whole => {
                let outline = within(&outline, [0.0, 0.0, right - left, bottom - top])?;
                let Region { x0, y0, x1, y1 } = outline.bounds()?;
                ([x0, y0, x1, y1], Some(outline))
            }
            outline => (around, outline),
        };
        let inside = [around[0].max(0.0), around[1].max(0.0), around[2].min(right - left), around[3].min(bottom - top)];
        let area = (inside[2] - inside[0]).max(0.0) * (inside[3] - inside[1]).max(0.0);
        let kept = part == whole || area.floor() > 0.0;
        kept.then(|| Placed {
            corners: inside,
            class: object.class as usize,
            is_crowd: object.is_crowd,
            outline: outline.map(Arc::new),
        })
    };
    objects.iter().filter_map(placed).collect()
}
