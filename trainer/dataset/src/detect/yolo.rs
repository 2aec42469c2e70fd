//! Random views for YOLO: a mosaic of four images, or one letterboxed image, scaled and moved at random, then a flip and
//! colours.
//!
//! With side `s`: a mosaic is a canvas of `2s` x `2s` whose four quarters meet at a random point; each holds an image whose longer
//! side is `s`, with a corner at that point, and what does not fit is cut. The view is the canvas scaled by `a` about its centre,
//! which comes to lie at `t`, cut to `s` x `s`. Scale and shift are one mapping per image, so neither the canvas nor the
//! image at side `s` is ever made: each image is resized once, to its final size, and only where it is seen. The meeting
//! point and the sizes are rounded to whole pixels of the view.

use models::host::{self, HsvGains, Resizer, Rgb, Tile, fill};
use schemas::Preprocessing;

use super::super::batch::View;
use super::super::dataset::SampleError;
use super::super::error::DataError;
use super::super::rng::KeyedRng;
use super::super::viewing::{Scratch, ViewKey};
use super::paste::Paste;
use super::rcnn::flip;
use super::{Placed, Source};

/// Gains of hue, saturation and value at full strength.
const HSV: [f64; 3] = [0.015, 0.7, 0.4];
/// A box is kept if both sides are longer, in pixels.
const SHORTEST: f64 = 2.0;
/// And more than this share of its area is seen.
const VISIBLE: f64 = 0.1;
/// And its longer side is less than so many times the shorter.
const THINNEST: f64 = 100.0;
/// Images tried for a place in a mosaic before it stays empty: only bad ones are passed over.
const TRIES: u32 = 32;

/// What is done to images.
#[derive(Clone, Debug, PartialEq)]
pub struct YoloAugmentation {
    /// Epochs, counted from 0, below this are made of mosaics.
    pub mosaic_epochs: u32,
    /// The scale is drawn from 1 ± this, in [0, 1).
    pub scale: f64,
    /// The centre is moved by up to ± this share of the side, in [0, 1).
    pub translate: f64,
    /// Strength of random hue, saturation and value, in [0, 1].
    pub hsv: f64,
    /// Probability of mirroring left and right, in [0, 1].
    pub flip_probability: f64,
    /// Draws each batch's side from the multiples of 32 between half and one and a half times the network's.
    pub multi_scale: bool,
}

/// The other samples of the epoch.
pub(super) struct Others<'a> {
    /// How many there are, with the one in hand.
    pub units: usize,
    /// One of them; `None` where its image is bad.
    #[expect(clippy::type_complexity, reason = "used once")]
    pub get: &'a mut dyn FnMut(usize, &mut Scratch) -> Result<Option<Source>, DataError>,
}

/// The random scale and shift of a view: canvas position `c`, from the canvas's centre, comes to `scale * c + centre`.
#[derive(Clone, Copy, Debug)]
struct Affine {
    scale: f64,
    centre: [f64; 2],
}

impl YoloAugmentation {
    pub(super) fn check(&self) -> Result<(), DataError> {
        let below_one = |value: f64| (0.0..1.0).contains(&value);
        let share = |value: f64| (0.0..=1.0).contains(&value);
        let checks = [
            (below_one(self.scale), "augment_scale", self.scale, "it must be in [0, 1)"),
            (below_one(self.translate), "augment_translate", self.translate, "it must be in [0, 1)"),
            (share(self.hsv), "augment_hsv", self.hsv, "it must be in [0, 1]"),
            (share(self.flip_probability), "flip probability", self.flip_probability, "it must be in [0, 1]"),
        ];
        match checks.into_iter().find(|(good, ..)| !good) {
            Some((_, name, value, limit)) => Err(DataError::Setting { name, value: value.to_string(), limit }),
            None => Ok(()),
        }
    }

    /// A random view of `source`. Its draws, and those of the others in its mosaic, are from its own stream.
    pub(super) fn view(
        &self,
        source: &Source,
        p: &Preprocessing,
        draw: ViewKey,
        others: &mut Others,
        scratch: &mut Scratch,
    ) -> Result<View, SampleError> {
        let side = self.side(p, draw);
        let mut rng = draw.rng();
        let mosaic = draw.epoch < self.mosaic_epochs;
        let (meeting, parts) = if mosaic {
            let meeting = [0; 2].map(|_| rng.below(u64::from(side)) + u64::from(side / 2));
            (Some(meeting), gather(others, draw.unit, scratch, &mut rng)?)
        } else {
            (None, Vec::new())
        };
        let affine = self.affine(side, &mut rng);
        let mut canvas = Rgb::filled(side, side, fill(p));
        let mut objects = Vec::new();
        let mut add = |part: &Source, paste: Paste, edges: Edges, resizer: &mut Resizer| {
            paste.onto(&mut canvas, part, p.interpolation, resizer);
            objects.extend(paste.objects(part).filter_map(|placed| kept(placed, edges, paste.clip)));
        };
        match meeting {
            None => {
                let (paste, edges) = letterboxed(source, side, affine);
                add(source, paste, edges, &mut scratch.resizer);
            }
            Some(meeting) => {
                let mut order = [0, 1, 2, 3];
                rng.shuffle(&mut order);
                let seam = Seam::of(side, meeting, affine);
                let parts = std::iter::once(Some(source)).chain(parts.iter().map(Option::as_ref));
                for (quarter, part) in order.into_iter().zip(parts) {
                    let Some(part) = part else { continue };
                    add(part, seam.quarter(quarter, part, affine), seam.edges, &mut scratch.resizer);
                }
            }
        }
        if rng.chance(self.flip_probability) {
            flip(&mut canvas, &mut objects);
        }
        if self.hsv > 0.0 {
            let gain = |most: f64, rng: &mut KeyedRng| 1.0 + rng.between(-1.0, 1.0) * most * self.hsv;
            let [hue, saturation, value] = HSV.map(|most| gain(most, &mut rng));
            host::change_hsv(&mut canvas, HsvGains { hue, saturation, value });
        }
        Ok(source.finished(canvas, [side, side], &objects))
    }

    /// Side of the view, in pixels.
    fn side(&self, p: &Preprocessing, draw: ViewKey) -> u32 {
        let side = p.side();
        if !self.multi_scale {
            return side;
        }
        let least = (side / 2).div_ceil(schemas::STRIDE);
        let most = (side + side / 2) / schemas::STRIDE;
        let mut rng = KeyedRng::new("multi scale", &[draw.seed, u64::from(draw.epoch), draw.batch as u64]);
        (least + rng.below(u64::from(most - least) + 1) as u32) * schemas::STRIDE
    }

    fn affine(&self, side: u32, rng: &mut KeyedRng) -> Affine {
        let scale = rng.between(1.0 - self.scale, 1.0 + self.scale);
        let centre = [0; 2].map(|_| rng.between(0.5 - self.translate, 0.5 + self.translate) * f64::from(side));
        Affine { scale, centre }
    }
}

/// Three more sources, drawn from all samples; `None` for a place that stays empty.
fn gather(
    others: &mut Others,
    unit: usize,
    scratch: &mut Scratch,
    rng: &mut KeyedRng,
) -> Result<Vec<Option<Source>>, SampleError> {
    let mut parts = Vec::with_capacity(3);
    for _ in 0..3 {
        let mut part = None;
        for _ in 0..TRIES {
            let pick = rng.below(others.units as u64) as usize;
            part = (others.get)(pick, scratch)?;
            // Only a bad image is passed over; the one in hand is good.
            if part.is_some() || pick == unit {
                break;
            }
        }
        parts.push(part);
    }
    Ok(parts)
}

/// Left, top, right and lower edge of what of the canvas is not cut, in pixels of the view.
type Edges = [f64; 4];

/// Where the quarters of a mosaic meet, in pixels of the view.
struct Seam {
    side: u32,
    x: i64,
    y: i64,
    edges: Edges,
}

impl Seam {
    fn of(side: u32, meeting: [u64; 2], affine: Affine) -> Self {
        let at = |axis: usize| {
            let (meeting, side) = (meeting[axis] as f64, f64::from(side));
            let seam = (affine.scale * (meeting - side) + affine.centre[axis]).round();
            // Both edges keep their distance from the seam.
            let (low, high) = ((affine.scale * meeting).round(), (affine.scale * (2.0 * side - meeting)).round());
            (seam as i64, seam - low, seam + high)
        };
        let ((x, left, right), (y, top, bottom)) = (at(0), at(1));
        Self { side, x, y, edges: [left, top, right, bottom] }
    }

    /// Quarter 0 is upper left, 1 upper right, 2 lower left, 3 lower right.
    fn quarter(&self, quarter: u32, part: &Source, affine: Affine) -> Paste {
        let (width, height) = final_size(part, self.side, affine.scale);
        let (right, lower) = (quarter % 2 == 1, quarter >= 2);
        let [x_low, y_low, x_high, y_high] = self.edges.map(|edge| edge.clamp(0.0, f64::from(self.side)) as u32);
        let inside = |seam: i64| seam.clamp(0, i64::from(self.side)) as u32;
        let (x, y) = (inside(self.x), inside(self.y));
        let (x0, x1) = if right { (x, x_high.max(x)) } else { (x_low.min(x), x) };
        let (y0, y1) = if lower { (y, y_high.max(y)) } else { (y_low.min(y), y) };
        Paste {
            left: if right { self.x } else { self.x - i64::from(width) },
            top: if lower { self.y } else { self.y - i64::from(height) },
            width,
            height,
            clip: Tile { x0, y0, x1, y1 },
        }
    }
}

/// Where a single image, centred in a square of `side`, comes to lie.
fn letterboxed(source: &Source, side: u32, affine: Affine) -> (Paste, Edges) {
    let (width, height) = final_size(source, side, affine.scale);
    let start = |length: u32, centre: f64| (centre - f64::from(length) / 2.0).round() as i64;
    let (left, top) = (start(width, affine.centre[0]), start(height, affine.centre[1]));
    let paste = Paste { left, top, width, height, clip: Tile { x0: 0, y0: 0, x1: side, y1: side } };
    (paste, [f64::NEG_INFINITY, f64::NEG_INFINITY, f64::INFINITY, f64::INFINITY])
}

/// Size of an image whose longer side becomes `side`, scaled.
fn final_size(source: &Source, side: u32, scale: f64) -> (u32, u32) {
    let (width, height) = (source.from.width(), source.from.height());
    let factor = f64::from(side) * scale / f64::from(width.max(height));
    let scaled = |length: u32| (f64::from(length) * factor).round().max(1.0) as u32;
    (scaled(width), scaled(height))
}

/// An object as far as it is seen in `clip`, unless too little of what the canvas holds of it (up to `edges`) is.
fn kept(placed: Placed, edges: Edges, clip: Tile) -> Option<Placed> {
    let within = |[left, top, right, bottom]: Edges| {
        let [x1, y1, x2, y2] = placed.corners;
        [x1.clamp(left, right), y1.clamp(top, bottom), x2.clamp(left, right), y2.clamp(top, bottom)]
    };
    let sides = |[x1, y1, x2, y2]: [f64; 4]| (x2 - x1, y2 - y1);
    let corners = within([clip.x0, clip.y0, clip.x1, clip.y1].map(f64::from));
    let ((before_w, before_h), (w, h)) = (sides(within(edges)), sides(corners));
    let good = w > SHORTEST && h > SHORTEST && w * h > VISIBLE * before_w * before_h && (w / h).max(h / w) < THINNEST;
    good.then_some(Placed { corners, ..placed })
}
