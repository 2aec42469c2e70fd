//! One answer from what was found in an image and in its tiles: `host::merge` for an exported file.

use super::found::{self, Detections};
use super::mask_rcnn;
use super::scalar::scalar;
use crate::ops::{DType, Ops};

/// A box this close to a border of its tile, in pixels, is taken to be cut by it, as in `host::merge`.
const TOUCH: f32 = 2.0;
/// A cut box of which more than this share lies in a whole one is a fragment of it, as in `host::merge`.
const FRAGMENT: f32 = 0.5;
/// Fewest boxes that are looked at, if there are so many. All pairs of 2048 are 16 MiB.
const CANDIDATES: i64 = 2048;
/// Rounds of [`survivors`].
const ROUNDS: usize = 16;

/// What was found in the whole image (source 0) and in each of its tiles.
#[derive(Clone, Debug)]
pub struct Sources<T> {
    /// I64 `[S, 4]`: first row and column, row and column after the last, in pixels of the image; of source 0 the image.
    pub places: T,
    /// By source: boxes F32 `[S, N, D, 4]` in pixels of the image, scores F32 `[S, N, D]`, labels I64 `[S, N, D]`, padded;
    /// masks F32 `[S, N, D, 28, 28]`, where there are any.
    pub found: Detections<T>,
}

/// How the sources are united.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merge {
    /// Number of sources, S.
    pub sources: i64,
    /// Boxes of each source and image, D.
    pub each: i64,
    /// Intersection over union above which two boxes are one object.
    pub threshold: f32,
    /// Most boxes in the answer.
    pub cap: i64,
}

impl Merge {
    /// How many boxes of an image are looked at, at most, the most certain ones: all, or twice the answer and at least
    /// [`CANDIDATES`]. Pairs of them are compared, so that memory grows with the square.
    fn candidates(&self) -> i64 {
        (self.sources * self.each).min(CANDIDATES.max(2 * self.cap))
    }
}

/// What the sources say together: the rule of `host::merge`, with the same float arithmetic, for all images at once. At
/// most `cap` boxes an image, by falling score.
///
/// It is the host's answer exactly, as long as (1) no image has more boxes than [`Merge::candidates`], or enough of the
/// candidates stay, and (2) no chain of boxes, each of which would drop the next, is longer than 16.
pub fn merge<B: Ops>(o: &B, s: &Sources<B::T>, how: &Merge) -> Detections<B::T> {
    // By image, source, box: the order that breaks ties.
    let rows = |x: &B::T| o.reshape(&o.transpose(x, &[1, 0, 2]), &[0, how.sources * how.each]);
    let boxes = o.reshape(&o.transpose(&s.found.boxes, &[1, 0, 2, 3]), &[0, how.sources * how.each, 4]);
    let (scores, at) = o.topk(&rows(&s.found.scores), how.candidates());
    // The rest is padding, with which pairs need not be compared.
    let count = found::most(o, &scores);
    let (scores, at) = (o.head(&scores, &count), o.head(&at, &count));
    let all = Candidates {
        corners: corners(o, &o.gather(&boxes, &at)),
        labels: o.gather(&rows(&s.found.labels), &at),
        sources: o.div(at.clone(), &o.integers(&[how.each], &[1])),
    };
    let cut = all.cut(o, &s.places);
    let kept = survivors(o, &all.suppression(o, &cut, how), &scores);
    let (scores, best) = o.topk(&o.mul(scores, &kept), how.cap);
    let one = o.integers(&[1], &[1]);
    let found = o.cast(&o.greater_equal(&scores, &scalar(o, f32::MIN_POSITIVE)), DType::I64);
    let labels = o.add(o.gather(&all.labels, &best), &one);
    let masks = s.found.masks.as_ref().map(|masks| {
        let rows = o.transpose(masks, &[1, 0, 2, 3, 4]);
        let rows = o.reshape(&rows, &[0, how.sources * how.each, mask_rcnn::SIDE, mask_rcnn::SIDE]);
        o.gather(&rows, &o.gather(&at, &best))
    });
    let boxes = o.gather(&o.gather(&boxes, &at), &best);
    Detections { boxes, labels: o.sub(o.mul(labels, &found), &one), scores, masks }
}

/// K boxes of each image by falling score.
struct Candidates<T> {
    /// Left, top, right, bottom: F32 `[N, K]` each.
    corners: [T; 4],
    /// I64 `[N, K]`.
    labels: T,
    /// I64 `[N, K]`: which source each is from.
    sources: T,
}

impl<T: Clone> Candidates<T> {
    /// F32 `[N, K]`: 1 where a box comes within [`TOUCH`] of a border of its tile that is no border of the image.
    fn cut<B: Ops<T = T>>(&self, o: &B, places: &T) -> T {
        let image = o.slice(places, 0, 0, 1);
        let side = |place: &T, at: i64| o.slice(place, -1, at, at + 1);
        let (height, width) = (side(&image, 2), side(&image, 3));
        // Of each tile, for each border: where it is, and 1 if the image goes on behind it.
        let one = o.integers(&[1], &[1, 1]);
        let behind = |border: &T, end: &T| o.greater_equal(&o.sub(end.clone(), &one), border);
        let [top, left, bottom, right] = [0, 1, 2, 3].map(|at| side(places, at));
        let (touch, float) = (scalar(o, TOUCH), |x: &T| o.cast(x, DType::F32));
        let columns = [
            o.add(float(&left), &touch),
            o.greater_equal(&left, &one),
            o.add(float(&top), &touch),
            o.greater_equal(&top, &one),
            o.sub(float(&right), &touch),
            behind(&right, &width),
            o.sub(float(&bottom), &touch),
            behind(&bottom, &height),
        ];
        let table = o.reshape(&o.concat(&columns.each_ref(), 1), &[1, -1, 8]);
        let own = o.gather(&o.repeat(&table, &self.sources), &self.sources);
        let column = |at: i64| o.reshape(&o.slice(&own, 2, at, at + 1), &[0, -1]);
        let [x1, y1, x2, y2] = &self.corners;
        let crossed = [
            o.mul(o.greater_equal(&column(0), x1), &column(1)),
            o.mul(o.greater_equal(&column(2), y1), &column(3)),
            o.mul(o.greater_equal(x2, &column(4)), &column(5)),
            o.mul(o.greater_equal(y2, &column(6)), &column(7)),
        ];
        let [a, b, c, d] = crossed;
        o.max(&o.max(&a, &b), &o.max(&c, &d))
    }

    /// F32 `[N, K, K]`: 1 in row `j`, column `i`, where `i`, if it is kept, drops `j`.
    fn suppression<B: Ops<T = T>>(&self, o: &B, cut: &T, how: &Merge) -> T {
        let (dropped, by) = (|x: &T| o.reshape(x, &[0, -1, 1]), |x: &T| o.reshape(x, &[0, 1, -1]));
        let equal = |x: &T| o.mul(o.greater_equal(&dropped(x), &by(x)), &o.greater_equal(&by(x), &dropped(x)));
        let (zero, one) = (scalar(o, 0.0), scalar(o, 1.0));
        let not = |x: &T| o.sub(one.clone(), x);

        let [x1, y1, x2, y2] = &self.corners;
        let length = |from: &T, to: &T| o.max(&o.sub(to.clone(), from), &zero);
        let area = o.mul(length(x1, x2), &length(y1, y2));
        let shared = |from: &T, to: &T| length(&o.max(&by(from), &dropped(from)), &o.min(&by(to), &dropped(to)));
        let shared = o.mul(shared(x1, x2), &shared(y1, y2));
        let union = o.sub(o.add(by(&area), &dropped(&area)), &shared);
        let overlaps = above(o, &o.div(shared.clone(), &union), &scalar(o, how.threshold));
        let inside = above(o, &o.div(shared, &dropped(&area)), &scalar(o, FRAGMENT));
        let fragment = o.mul(o.mul(inside, &dropped(cut)), &by(&not(cut)));

        // Place in the order of visits: what is cut comes after all that is not.
        let count = how.candidates();
        #[expect(clippy::cast_precision_loss, reason = "candidates are some thousands")]
        let (ranks, count_f): (Vec<f32>, f32) = ((0..count).map(|rank| rank as f32).collect(), count as f32);
        let ranks = o.head(&o.constant(&ranks, &[1, count]), &o.lengths(cut, &[1]));
        let place = o.add(o.mul(cut.clone(), &scalar(o, count_f)), &ranks);
        let later = not(&o.greater_equal(&by(&place), &dropped(&place)));
        let rivals = o.mul(equal(&self.labels), &not(&equal(&self.sources)));
        o.mul(o.mul(o.max(&overlaps, &fragment), &rivals), &later)
    }
}

/// Left, top, right, bottom of `boxes [N, K, 4]`, `[N, K]` each.
fn corners<B: Ops>(o: &B, boxes: &B::T) -> [B::T; 4] {
    [0, 1, 2, 3].map(|at| o.reshape(&o.slice(boxes, 2, at, at + 1), &[0, -1]))
}

/// 1 where `a > b`, also 0 where either is NaN.
fn above<B: Ops>(o: &B, a: &B::T, b: &B::T) -> B::T {
    o.mul(o.greater_equal(a, b), &o.sub(scalar(o, 1.0), &o.greater_equal(b, a)))
}

/// F32 `[N, K]`: 1 where a box stays. Visiting them one by one is what a graph cannot do; but what visiting yields is the one
/// solution of `stays(j) = no i stays that drops j`, and each round of setting the left side from the right makes it right
/// for boxes whose chain of possible droppers is one longer. The number of rounds is even: longer chains then err by keeping.
fn survivors<B: Ops>(o: &B, suppression: &B::T, like: &B::T) -> B::T {
    let one = scalar(o, 1.0);
    let mut stays = o.greater_equal(like, like);
    for _ in 0..ROUNDS {
        let droppers = o.sum(&o.mul(suppression.clone(), &o.reshape(&stays, &[0, 1, -1])), 2);
        stays = o.sub(one.clone(), &o.min(&droppers, &one));
    }
    stays
}
