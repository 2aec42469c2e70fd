//! Random views for YOLO: a mosaic of four images, or one letterboxed image, scaled and moved at random, turned and sheared where that
//! is asked for, then a flip and colours.
//!
//! With side `s`: a mosaic is a canvas of `2s` x `2s` whose four quarters meet at a random point; each holds an image whose longer
//! side is `s`, with a corner at that point, and what does not fit is cut. The view is the canvas scaled by `a` about its centre,
//! which comes to lie at `t`, cut to `s` x `s`. Scale and shift are one mapping per image, so neither the canvas nor the
//! image at side `s` is ever made: each image is resized once, to its final size, and only where it is seen. The meeting
//! point and the sizes are rounded to whole pixels of the view. Rotation and shear about `t` come after that: what of the canvas they
//! show is painted as above and then looked at between its pixels.

use models::host::{self, HsvGains, Rgb, Tile, fill};
use schemas::Preprocessing;

use super::super::batch::View;
use super::super::dataset::SampleError;
use super::super::error::DataError;
use super::super::rng::KeyedRng;
use super::super::viewing::{Scratch, ViewKey};
use super::paste::Paste;
use super::rcnn::flip;
use super::turn::{Frame, Turn};
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
    /// It is turned by up to ± so many degrees, in [0, 180].
    pub degrees: f64,
    /// And sheared along either axis by up to ± so many degrees, in [0, 45).
    pub shear: f64,
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
            ((0.0..=180.0).contains(&self.degrees), "augment_degrees", self.degrees, "it must be in [0, 180]"),
            ((0.0..45.0).contains(&self.shear), "augment_shear", self.shear, "it must be in [0, 45)"),
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
        let turn = self.turn(affine.centre, &mut rng);
        let mut places = Vec::with_capacity(4);
        let edges = match meeting {
            None => {
                places.push((source, letterboxed(source, side, affine)));
                EVERYWHERE
            }
            Some(meeting) => {
                let mut order = [0, 1, 2, 3];
                rng.shuffle(&mut order);
                let seam = Seam::of(side, meeting, affine);
                let parts = std::iter::once(Some(source)).chain(parts.iter().map(Option::as_ref));
                let placed = |(quarter, part)| Some((part?, seam.quarter(quarter, part?, affine)));
                places.extend(order.into_iter().zip(parts).filter_map(placed));
                seam.edges
            }
        };
        let view = Frame { left: 0, top: 0, width: side, height: side };
        let frame = turn.map_or(view, |turn| turn.frame(side, Place::around(&places)));
        let mut canvas = Rgb::filled(frame.width, frame.height, fill(p));
        let mut objects = Vec::new();
        for (part, place) in places {
            place.paste(frame).onto(&mut canvas, part, p.interpolation, &mut scratch.resizer);
            objects.extend(place.paste(view).objects(part).filter_map(|placed| kept(&placed, edges, turn, side)));
        }
        if let Some(turn) = turn {
            canvas = turn.view(&canvas, frame, side, fill(p));
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

    /// The rotation and shear of a view; `None`, and nothing drawn, where neither is asked for.
    fn turn(&self, about: [f64; 2], rng: &mut KeyedRng) -> Option<Turn> {
        if self.degrees <= 0.0 && self.shear <= 0.0 {
            return None;
        }
        let angle = rng.between(-self.degrees, self.degrees);
        Some(Turn::new(angle, [0; 2].map(|_| rng.between(-self.shear, self.shear)), about))
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

/// Left, top, right and lower edge of a part of the plane, in pixels of the view.
type Edges = [f64; 4];

const EVERYWHERE: Edges = [f64::NEG_INFINITY, f64::NEG_INFINITY, f64::INFINITY, f64::INFINITY];

/// Where an image comes to lie, in whole pixels of the view before it is turned, and which part of it is not cut.
struct Place {
    left: i64,
    top: i64,
    width: u32,
    height: u32,
    within: Edges,
}

impl Place {
    /// The image in what is painted.
    fn paste(&self, frame: Frame) -> Paste {
        let [x0, y0, x1, y1] = self.within;
        let inside = |at: f64, start: i64, length: u32| (at - start as f64).clamp(0.0, f64::from(length)) as u32;
        let (x, y) = (|at| inside(at, frame.left, frame.width), |at| inside(at, frame.top, frame.height));
        Paste {
            left: self.left - frame.left,
            top: self.top - frame.top,
            width: self.width,
            height: self.height,
            clip: Tile { x0: x(x0), y0: y(y0), x1: x(x1), y1: y(y1) },
        }
    }

    /// The smallest rectangle around images.
    fn around(places: &[(&Source, Self)]) -> Edges {
        places.iter().fold(
            [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY],
            |around, (_, place)| {
                let (left, top) = (place.left as f64, place.top as f64);
                let (right, bottom) = (left + f64::from(place.width), top + f64::from(place.height));
                let [x0, y0, x1, y1] = place.within;
                [
                    around[0].min(left.max(x0)),
                    around[1].min(top.max(y0)),
                    around[2].max(right.min(x1)),
                    around[3].max(bottom.min(y1)),
                ]
            },
        )
    }
}

/// Where the quarters of a mosaic meet, in pixels of the view, and the edges of the canvas.
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
    fn quarter(&self, quarter: u32, part: &Source, affine: Affine) -> Place {
        let (width, height) = final_size(part, self.side, affine.scale);
        let (right, lower) = (quarter % 2 == 1, quarter >= 2);
        let [left_edge, top_edge, right_edge, lower_edge] = self.edges;
        let (x, y) = (self.x as f64, self.y as f64);
        let (x0, x1) = if right { (x, right_edge) } else { (left_edge, x) };
        let (y0, y1) = if lower { (y, lower_edge) } else { (top_edge, y) };
        Place {
            left: if right { self.x } else { self.x - i64::from(width) },
            top: if lower { self.y } else { self.y - i64::from(height) },
            width,
            height,
            within: [x0, y0, x1, y1],
        }
    }
}

/// Where a single image, centred in a square of `side`, comes to lie.
fn letterboxed(source: &Source, side: u32, affine: Affine) -> Place {
    let (width, height) = final_size(source, side, affine.scale);
    let start = |length: u32, centre: f64| (centre - f64::from(length) / 2.0).round() as i64;
    let (left, top) = (start(width, affine.centre[0]), start(height, affine.centre[1]));
    Place { left, top, width, height, within: EVERYWHERE }
}

/// Size of an image whose longer side becomes `side`, scaled.
fn final_size(source: &Source, side: u32, scale: f64) -> (u32, u32) {
    let (width, height) = (source.from.width(), source.from.height());
    let factor = f64::from(side) * scale / f64::from(width.max(height));
    let scaled = |length: u32| (f64::from(length) * factor).round().max(1.0) as u32;
    (scaled(width), scaled(height))
}

/// An object as far as it is seen in the view of `side` pixels, unless too little of what the canvas holds of it (up to
/// `edges`) is.
fn kept(placed: &Placed, edges: Edges, turn: Option<Turn>, side: u32) -> Option<Placed> {
    let held = placed.within(edges)?;
    let held = turn.map_or_else(|| held.clone(), |turn| turn.object(&held));
    let seen = held.within([0.0, 0.0, f64::from(side), f64::from(side)])?;
    let sides = |[x1, y1, x2, y2]: [f64; 4]| (x2 - x1, y2 - y1);
    let ((before_w, before_h), (w, h)) = (sides(held.corners), sides(seen.corners));
    let good = w > SHORTEST && h > SHORTEST && w * h > VISIBLE * before_w * before_h && (w / h).max(h / w) < THINNEST;
    good.then_some(seen)
}
