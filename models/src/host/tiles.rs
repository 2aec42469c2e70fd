//! Overlapping tiles, for small objects in large images: where they lie, and how what was found in them becomes one answer.

use std::cmp::Ordering;

use schemas::setting::TileGrid;

use schemas::prediction::Detection;

use super::rgb::Rgb;

/// A box this close to a border of its tile, in pixels, is taken to be cut by it.
const TOUCH: f32 = 2.0;
/// A cut box of which more than this share lies in a whole one is a fragment of it.
const FRAGMENT: f32 = 0.5;

/// A rectangle of whole pixels: columns `x0..x1`, rows `y0..y1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tile {
    /// First column.
    pub x0: u32,
    /// First row.
    pub y0: u32,
    /// Column after the last.
    pub x1: u32,
    /// Row after the last.
    pub y1: u32,
}

impl Tile {
    /// All of an image.
    #[must_use]
    pub fn whole(image: &Rgb) -> Self {
        Self { x0: 0, y0: 0, x1: image.width, y1: image.height }
    }

    /// Columns.
    #[must_use]
    pub fn width(&self) -> u32 {
        self.x1 - self.x0
    }

    /// Rows.
    #[must_use]
    pub fn height(&self) -> u32 {
        self.y1 - self.y0
    }
}

/// The tiles of an image of `width` x `height` pixels, column by column, each from top to bottom; none for
/// [`TileGrid::NONE`].
///
/// With `n` tiles along an axis of `length` pixels, computed in `f64`: a tile is `side = length / (overlap + (1 - overlap) * n)`
/// long, tile `i` begins at `i * (1 - overlap) * side` and ends one `side` later. Both ends are rounded to whole pixels, halves
/// to even, and kept inside the image; a tile has at least one pixel. Sides of 0 count as 1.
#[must_use]
pub fn tiles(width: u32, height: u32, grid: TileGrid, overlap: f64) -> Vec<Tile> {
    if grid.is_none() {
        return Vec::new();
    }
    let columns = stretches(width, grid.columns, overlap);
    let rows = stretches(height, grid.rows, overlap);
    let column = |&(x0, x1)| rows.iter().map(move |&(y0, y1)| Tile { x0, y0, x1, y1 });
    columns.iter().flat_map(column).collect()
}

fn stretches(length: u32, n: u32, overlap: f64) -> Vec<(u32, u32)> {
    let length = length.max(1);
    let side = f64::from(length) / (overlap + (1.0 - overlap) * f64::from(n));
    let stretch = |i: u32| {
        let start = f64::from(i) * (1.0 - overlap) * side;
        let from = (start.round_ties_even() as u32).min(length - 1);
        (from, ((start + side).round_ties_even() as u32).clamp(from + 1, length))
    };
    (0..n).map(stretch).collect()
}

/// The pixels of a tile as an image of its own.
///
/// # Panics
/// When the tile does not lie in the image.
#[must_use]
pub fn cut(image: &Rgb, tile: Tile) -> Rgb {
    image.check();
    let (left, right) = (tile.x0 as usize * 3, tile.x1 as usize * 3);
    let rows = image.data.chunks_exact(image.stride()).take(tile.y1 as usize).skip(tile.y0 as usize);
    let mut data = Vec::with_capacity((right - left) * tile.height() as usize);
    rows.for_each(|row| data.extend_from_slice(&row[left..right]));
    let part = Rgb { width: tile.width(), height: tile.height(), data };
    part.check();
    part
}

/// Moves what was found in a tile, in pixels of the tile, to where it lies in the image.
pub fn shift(found: &mut [Detection], tile: Tile) {
    let (x, y) = (tile.x0 as f32, tile.y0 as f32);
    for one in found {
        let [x1, y1, x2, y2] = one.corners;
        one.corners = [x1 + x, y1 + y, x2 + x, y2 + y];
    }
}

/// How [`merge`] unites what was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Merge {
    /// Pixels of a row of the image.
    pub width: u32,
    /// Rows of the image.
    pub height: u32,
    /// Intersection over union above which two boxes are one object (`tile_predictions_nms_thresh`).
    pub threshold: f32,
    /// Most boxes in the answer.
    pub limit: usize,
    /// Which boxes go.
    pub rule: MergeRule,
}

/// Which of two boxes of one object goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum MergeRule {
    /// The less certain one, but first of all the one that a tile's border cuts: see [`merge`].
    #[default]
    CutLast,
    /// The less certain one, as Azure's AutoML for Images does. For comparison only.
    Specification,
}

/// One answer from what was found in the whole image and, after [`shift`], in each tile; all in pixels of the image.
///
/// The same object may be found in the whole image and in several tiles, and a tile's border may cut it. With the whole
/// image as source 0 and the tiles as sources 1, 2, ..:
///
/// 1. A box is *cut* if it comes within 2 pixels of a border of its tile that is no border of the image. No box of source 0
///    is.
/// 2. Boxes are visited by falling score, equal ones by source and then as given; all that are not cut before all that are.
/// 3. A box `j` is dropped if a kept box `i` of the same label and another source has `IoU(i, j) > threshold`, or if `j` is cut,
///    `i` is not, and more than half of `j`'s area lies in `i`: a fragment of an object that was seen whole. Two boxes of one
///    source never compete here; that was settled where they were found.
/// 4. What is kept is sorted by falling score (equal ones as in 2) and the first `limit` are the answer.
///
/// Scores that are NaN come last.
#[must_use]
pub fn merge(whole: &[Detection], tiles: &[(Tile, Vec<Detection>)], how: &Merge) -> Vec<Detection> {
    let mut all: Vec<Candidate> =
        whole.iter().map(|found| Candidate { found: found.clone(), source: 0, cut: false }).collect();
    for (number, (tile, found)) in tiles.iter().enumerate() {
        let cut = |one: &Detection| match how.rule {
            MergeRule::CutLast => is_cut(one, *tile, how),
            MergeRule::Specification => false,
        };
        all.extend(found.iter().map(|one| Candidate { found: one.clone(), source: number + 1, cut: cut(one) }));
    }
    // Stable, and `all` is in the order of sources.
    all.sort_by(|a, b| a.cut.cmp(&b.cut).then(by_score(a, b)));
    let mut kept: Vec<Candidate> = Vec::new();
    for one in all {
        if !kept.iter().any(|other| other.suppresses(&one, how.threshold)) {
            kept.push(one);
        }
    }
    kept.sort_by(|a, b| by_score(a, b).then(a.source.cmp(&b.source)));
    kept.truncate(how.limit);
    kept.into_iter().map(|one| one.found).collect()
}

struct Candidate {
    found: Detection,
    source: usize,
    cut: bool,
}

impl Candidate {
    fn suppresses(&self, other: &Self, threshold: f32) -> bool {
        let rivals = self.found.label == other.found.label && self.source != other.source;
        let fragment =
            || other.cut && !self.cut && self.found.intersection(&other.found) / other.found.area() > FRAGMENT;
        rivals && (self.found.iou(&other.found) > threshold || fragment())
    }
}

fn by_score(a: &Candidate, b: &Candidate) -> Ordering {
    let key = |one: &Candidate| if one.found.score.is_nan() { f32::NEG_INFINITY } else { one.found.score };
    key(b).partial_cmp(&key(a)).unwrap_or(Ordering::Equal)
}

fn is_cut(one: &Detection, tile: Tile, how: &Merge) -> bool {
    let [x1, y1, x2, y2] = one.corners;
    (tile.x0 > 0 && x1 <= tile.x0 as f32 + TOUCH)
        || (tile.y0 > 0 && y1 <= tile.y0 as f32 + TOUCH)
        || (tile.x1 < how.width && x2 >= tile.x1 as f32 - TOUCH)
        || (tile.y1 < how.height && y2 >= tile.y1 as f32 - TOUCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid(columns: u32, rows: u32) -> TileGrid {
        TileGrid { columns, rows }
    }

    fn found(corners: [f32; 4], score: f32) -> Detection {
        Detection { corners, score, label: 0, mask: None }
    }

    const HOW: Merge = Merge { width: 200, height: 100, threshold: 0.25, limit: 100, rule: MergeRule::CutLast };
    /// Two tiles of [`HOW`]'s image that overlap in columns 80 to 120.
    const LEFT: Tile = Tile { x0: 0, y0: 0, x1: 120, y1: 100 };
    const RIGHT: Tile = Tile { x0: 80, y0: 0, x1: 200, y1: 100 };

    #[test]
    fn tiles_are_where_the_specification_puts_them() {
        let corners = |tiles: &[Tile]| tiles.iter().map(|t| [t.x0, t.y0, t.x1, t.y1]).collect::<Vec<_>>();
        assert_eq!(
            corners(&tiles(600, 400, grid(3, 2), 0.25)),
            [
                [0, 0, 240, 229],
                [0, 171, 240, 400],
                [180, 0, 420, 229],
                [180, 171, 420, 400],
                [360, 0, 600, 229],
                [360, 171, 600, 400]
            ]
        );
        let wide = tiles(1280, 720, grid(3, 2), 0.25);
        assert_eq!([wide[0].x1, wide[2].x0, wide[2].x1, wide[4].x0], [512, 384, 896, 768]);
        assert_eq!([wide[0].y1, wide[1].y0], [411, 309]);
        assert!(tiles(600, 400, TileGrid::NONE, 0.25).is_empty());
        // 5 / 2 and 3 * 5 / 2 lie between two pixels: the even one is taken.
        assert_eq!(corners(&tiles(5, 4, grid(2, 1), 0.0)), [[0, 0, 2, 4], [2, 0, 5, 4]]);
    }

    #[test]
    fn tiles_cover_every_image_and_are_never_empty() {
        for (width, height) in [(1, 1), (2, 7), (31, 1000), (4001, 2999)] {
            for (columns, rows) in [(2, 1), (1, 3), (3, 2), (16, 16)] {
                for overlap in [0.0, 0.25, 0.9] {
                    let tiles = tiles(width, height, grid(columns, rows), overlap);
                    assert_eq!(tiles.len(), (columns * rows) as usize);
                    assert!(tiles.iter().all(|t| t.x0 < t.x1 && t.x1 <= width && t.y0 < t.y1 && t.y1 <= height));
                    for x in 0..width {
                        assert!(tiles.iter().any(|t| (t.x0..t.x1).contains(&x)), "{width} {columns} {overlap} {x}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_tile_is_cut_out_and_what_is_found_in_it_moved_back() {
        let data = (0..4 * 3 * 3).collect();
        let part = cut(&Rgb { width: 4, height: 3, data }, Tile { x0: 1, y0: 1, x1: 3, y1: 3 });
        assert_eq!((part.width, part.height), (2, 2));
        assert_eq!(part.data, [15, 16, 17, 18, 19, 20, 27, 28, 29, 30, 31, 32]);
        let mut boxes = [found([1.5, 2.0, 3.0, 4.0], 0.5)];
        shift(&mut boxes, Tile { x0: 80, y0: 10, x1: 200, y1: 100 });
        assert_eq!(boxes[0].corners, [81.5, 12.0, 83.0, 14.0]);
    }

    #[test]
    fn one_object_found_three_times_is_one() {
        let seen = |score| found([90.0, 40.0, 110.0, 60.0], score);
        let answer = merge(&[seen(0.6)], &[(LEFT, vec![seen(0.9)]), (RIGHT, vec![seen(0.8)])], &HOW);
        assert_eq!(answer, [seen(0.9)]);
    }

    #[test]
    fn boxes_of_one_source_or_of_two_labels_never_compete() {
        let seen = |score| found([90.0, 40.0, 110.0, 60.0], score);
        assert_eq!(merge(&[], &[(LEFT, vec![seen(0.9), seen(0.8)])], &HOW).len(), 2);
        let other = Detection { label: 1, ..seen(0.8) };
        assert_eq!(merge(&[seen(0.9)], &[(RIGHT, vec![other.clone()])], &HOW).len(), 2);
    }

    #[test]
    fn a_fragment_gives_way_to_the_whole_however_certain_it_is() {
        // 60 x 40 whole; the left tile ends at column 120 and sees 20 x 40 of it: IoU 0.33; a sliver of 6 x 40: IoU 0.1.
        let whole = found([100.0, 30.0, 160.0, 70.0], 0.6);
        for fragment in [found([100.0, 30.0, 119.0, 70.0], 0.9), found([113.0, 30.0, 119.5, 70.0], 0.9)] {
            let merged = merge(&[], &[(LEFT, vec![fragment.clone()]), (RIGHT, vec![whole.clone()])], &HOW);
            assert_eq!(merged, std::slice::from_ref(&whole));
        }
        let specification = Merge { rule: MergeRule::Specification, ..HOW };
        let fragment = found([113.0, 30.0, 119.5, 70.0], 0.9);
        let answer = merge(&[], &[(LEFT, vec![fragment.clone()]), (RIGHT, vec![whole.clone()])], &specification);
        assert_eq!(answer, [fragment, whole], "the sliver stays there");
        // Where the image itself ends, nothing is cut: a small object before a large one stays.
        let small = found([0.0, 30.0, 10.0, 40.0], 0.9);
        let large = found([0.0, 20.0, 60.0, 60.0], 0.8);
        assert_eq!(merge(&[large], &[(LEFT, vec![small])], &HOW).len(), 2);
    }

    #[test]
    fn two_fragments_compete_by_score_and_overlap_alone() {
        let (a, b) = (found([70.0, 30.0, 119.0, 70.0], 0.5), found([81.0, 30.0, 130.0, 70.0], 0.7));
        assert_eq!(merge(&[], &[(LEFT, vec![a.clone()]), (RIGHT, vec![b.clone()])], &HOW), [b]);
        let (a, b) = (found([60.0, 30.0, 119.0, 70.0], 0.5), found([81.0, 45.0, 100.0, 55.0], 0.7));
        // The smaller lies inside the larger, but both are cut, and the overlap is 0.08.
        assert_eq!(merge(&[], &[(LEFT, vec![a.clone()]), (RIGHT, vec![b.clone()])], &HOW), [b, a]);
    }

    #[test]
    fn the_answer_is_sorted_stable_and_capped() {
        let at = |x: f32, score| found([x, 0.0, x + 5.0, 5.0], score);
        let cut = found([110.0, 0.0, 119.0, 9.0], 0.95);
        let answer = merge(
            &[at(10.0, 0.5), at(30.0, f32::NAN)],
            &[(LEFT, vec![at(50.0, 0.5), cut.clone()]), (RIGHT, vec![at(130.0, 0.7)])],
            &Merge { limit: 4, ..HOW },
        );
        assert_eq!(answer, [cut, at(130.0, 0.7), at(10.0, 0.5), at(50.0, 0.5)]);
        assert!(merge(&[], &[], &HOW).is_empty());
    }
}
