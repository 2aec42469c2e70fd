//! Random views for R-CNN and RetinaNet, after section "augmentation" of Azure's AutoML for Images: with probability 1/2 either a
//! crop that keeps every box whole or a larger canvas in the mean colour, one as likely as the other; then, with probability
//! 1/2, a flip.

use models::host::{self, Placement, Resizer, Rgb, Tile, fill};
use schemas::Preprocessing;

use super::super::batch::View;
use super::super::rng::KeyedRng;
use super::paste::Paste;
use super::{Placed, Source};

/// What may be done to an image. The default is the specification's.
#[derive(Clone, Debug, PartialEq)]
pub struct RcnnAugmentation {
    /// Probability that the frame is changed at all, in [0, 1].
    pub frame_probability: f64,
    /// Probability that a changed frame is a crop and not a larger canvas, in [0, 1].
    pub crop_probability: f64,
    /// Smallest share of the image's area that a crop keeps.
    pub crop_area: f64,
    /// Crops tried until one keeps every box whole; if none does, the image stays whole.
    pub crop_tries: u32,
    /// Sides of the canvas over those of the image, at most; at least 1. Drawn uniformly.
    pub expand: f64,
    /// Probability of mirroring left and right, in [0, 1].
    pub flip_probability: f64,
}

impl Default for RcnnAugmentation {
    fn default() -> Self {
        Self {
            frame_probability: 0.5,
            crop_probability: 0.5,
            crop_area: 0.6,
            crop_tries: 50,
            expand: 2.0,
            flip_probability: 0.5,
        }
    }
}

/// What the view shows: `from` of the image, on a canvas of `width` x `height` of its pixels, at (`left`, `top`).
struct Frame {
    from: Tile,
    width: u32,
    height: u32,
    left: u32,
    top: u32,
}

impl RcnnAugmentation {
    /// A random view: the canvas resized as evaluation resizes an image, and not framed; every draw is taken from `rng`.
    pub(super) fn view(&self, source: &Source, p: &Preprocessing, resizer: &mut Resizer, rng: &mut KeyedRng) -> View {
        let frame = self.frame(source, rng);
        let place = Placement::of(frame.width, frame.height, &p.fit);
        let (width, height) = (place.inner_width, place.inner_height);
        let (across, paste_width) = scaled(frame.left, frame.from.width(), frame.width, width);
        let (down, paste_height) = scaled(frame.top, frame.from.height(), frame.height, height);
        let clip = Tile { x0: 0, y0: 0, x1: width, y1: height };
        let paste = Paste { left: across, top: down, width: paste_width, height: paste_height, clip };
        let shown =
            Source { from: frame.from, objects: moved(source, frame.from), image: source.image.clone(), ..*source };
        let mut objects: Vec<Placed> = paste.objects(&shown).collect();
        let mut canvas = Rgb::filled(width, height, fill(p));
        paste.onto(&mut canvas, &shown, p.interpolation, resizer);
        if rng.chance(self.flip_probability) {
            flip(&mut canvas, &mut objects);
        }
        source.finished(canvas, [height, width], &objects)
    }

    fn frame(&self, source: &Source, rng: &mut KeyedRng) -> Frame {
        let from = source.from;
        let whole = Frame { from, width: from.width(), height: from.height(), left: 0, top: 0 };
        let (changed, crop) = (rng.chance(self.frame_probability), rng.chance(self.crop_probability));
        if !changed {
            return whole;
        }
        if crop {
            return self.crop(source, rng).unwrap_or(whole);
        }
        let ratio = rng.between(1.0, self.expand);
        let longer = |side: u32| ((f64::from(side) * ratio) as u32).max(side);
        let (width, height) = (longer(whole.width), longer(whole.height));
        let left = rng.below(u64::from(width - whole.width) + 1) as u32;
        let top = rng.below(u64::from(height - whole.height) + 1) as u32;
        Frame { width, height, left, top, ..whole }
    }

    /// A crop of enough area, not more than twice as long as wide or the other way round, that cuts no box.
    fn crop(&self, source: &Source, rng: &mut KeyedRng) -> Option<Frame> {
        let from = source.from;
        let (full_width, full_height) = (from.width(), from.height());
        let area = f64::from(full_width) * f64::from(full_height);
        for _ in 0..self.crop_tries {
            let mut side = |full: u32| {
                let side =
                    (f64::from(full) * rng.between(self.crop_area, 1.0)).round().clamp(1.0, f64::from(full)) as u32;
                (side, rng.below(u64::from(full - side) + 1) as u32)
            };
            let ((width, left), (height, top)) = (side(full_width), side(full_height));
            let shape = f64::from(height) / f64::from(width);
            if f64::from(width) * f64::from(height) < self.crop_area * area || shape <= 0.5 || shape >= 2.0 {
                continue;
            }
            let [x0, y0, x1, y1] = [left, top, left + width, top + height].map(f64::from);
            let whole = |placed: &Placed| {
                let c = placed.corners;
                c[0] >= x0 && c[1] >= y0 && c[2] <= x1 && c[3] <= y1
            };
            if source.objects.iter().all(whole) {
                let (x0, y0) = (from.x0 + left, from.y0 + top);
                let from = Tile { x0, y0, x1: x0 + width, y1: y0 + height };
                return Some(Frame { from, width, height, left: 0, top: 0 });
            }
        }
        None
    }
}

/// Start and length of a piece (`start`, `length` of `of`) when `of` becomes `to`, in whole pixels within `to`.
fn scaled(start: u32, length: u32, of: u32, to: u32) -> (i64, u32) {
    let scale = f64::from(to) / f64::from(of);
    let length = (f64::from(length) * scale).round().clamp(1.0, f64::from(to)) as u32;
    let start = ((f64::from(start) * scale).round() as u32).min(to - length);
    (i64::from(start), length)
}

/// The objects of `source` in pixels of `from`.
fn moved(source: &Source, from: Tile) -> Vec<Placed> {
    let (x, y) = (f64::from(from.x0 - source.from.x0), f64::from(from.y0 - source.from.y0));
    source.objects.iter().map(|placed| placed.moved(|at| at - x, |at| at - y)).collect()
}

/// Mirrors left and right.
pub(super) fn flip(canvas: &mut Rgb, objects: &mut [Placed]) {
    host::flip_horizontal(canvas);
    let width = f64::from(canvas.width);
    for placed in objects {
        *placed = placed.moved(|x| width - x, |y| y);
    }
}
