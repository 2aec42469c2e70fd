//! Boxes and masks on images.

use schemas::Interpolation;
use schemas::prediction::Detection;

use super::caption::{self, GLYPH};
use super::mask::{Mask, Outline, Paste};
use super::{Region, Rgb, Tile, resize, thumbnail};

/// Colours of classes, far apart on screens and in print (Okabe and Ito 2008, without black and yellow's pale twin).
const COLOURS: [[u8; 3]; 7] =
    [[230, 159, 0], [86, 180, 233], [0, 158, 115], [213, 94, 0], [204, 121, 167], [0, 114, 178], [240, 228, 66]];

/// Share of the colour in the pixels of an object.
const TINT: f32 = 0.4;

/// A box to draw.
#[derive(Clone, Debug)]
pub struct Mark {
    /// `xyxy` in pixels of the image.
    pub corners: [f32; 4],
    /// Of the outline and of the tag.
    pub colour: [u8; 3],
    /// Text on the tag; nothing is no tag.
    pub text: String,
    /// Pixels to tint, where an object is outlined.
    pub covered: Option<Mask>,
}

/// The colour of a class; they repeat after seven.
#[must_use]
pub fn colour(class: usize) -> [u8; 3] {
    COLOURS[class % COLOURS.len()]
}

/// The image with every detection boxed and tagged with its class and score, the most certain on top. Where it has a mask, the
/// pixels with a probability above `pixel_threshold` are tinted.
#[must_use]
pub fn detections(image: &Rgb, found: &[Detection], labels: &[String], pixel_threshold: f32) -> Rgb {
    let paste = Paste { width: image.width, height: image.height, threshold: pixel_threshold };
    let mark = |d: &Detection| {
        let label = labels.get(d.label).map_or("", String::as_str);
        let covered = d.mask.as_ref().map(|mask| paste.mask(mask.values(), d.corners));
        Mark { corners: d.corners, colour: colour(d.label), text: format!("{label} {:.2}", d.score), covered }
    };
    let marks: Vec<Mark> = found.iter().rev().map(mark).collect();
    marked(image, &marks)
}

/// The image with marks on it, later ones over earlier ones. What lies outside the image is cut.
#[must_use]
pub fn marked(image: &Rgb, marks: &[Mark]) -> Rgb {
    let mut out = image.clone();
    let thick = (image.width.min(image.height) / 240).clamp(1, 8);
    for mark in marks {
        if let Some(covered) = &mark.covered {
            tint(&mut out, covered, mark.colour, thick);
        }
        outline(&mut out, mark, thick);
    }
    let mut taken = Vec::new();
    for mark in marks.iter().filter(|mark| !mark.text.is_empty()) {
        tag(&mut out, mark, thick, &mut taken);
    }
    out
}

/// Draws the lines of an outline, in fractions of the image, on it.
pub fn outline_of(image: &mut Rgb, outline: &Outline, colour: [u8; 3]) {
    let thick = (image.width.min(image.height) / 160).clamp(1, 8);
    let pixels = outline.map(|[x, y]| [x * f64::from(image.width), y * f64::from(image.height)]);
    for ring in &pixels.rings {
        for (from, to) in ring.iter().zip(ring.iter().cycle().skip(1)) {
            line(image, (*from, *to), colour, thick);
        }
    }
}

/// A line of square dots, one pixel apart.
fn line(image: &mut Rgb, (from, to): ([f64; 2], [f64; 2]), colour: [u8; 3], thick: u32) {
    let along = [0, 1].map(|axis| to[axis] - from[axis]);
    let steps = along[0].abs().max(along[1].abs()).ceil().clamp(1.0, 1e5);
    for step in 0..=steps as u32 {
        let share = f64::from(step) / steps;
        // What lies before the image becomes its first pixel.
        let [left, top] = [0, 1].map(|axis| (from[axis] + share * along[axis] - f64::from(thick) / 2.0).round() as u32);
        fill(image, [left, top, left.saturating_add(thick), top.saturating_add(thick)], colour);
    }
}

/// The image, reduced until its longer side is at most `side` pixels, with marks that are drawn at that size.
#[must_use]
pub fn fitted(image: &Rgb, marks: &[Mark], side: u32) -> Rgb {
    let small = thumbnail(image, side);
    let scale = [small.width as f32 / image.width as f32, small.height as f32 / image.height as f32];
    marked(&small, &moved(marks, [0.0; 2], scale))
}

/// What lies around the first mark and those in the same place, `side` x `side` pixels; nothing where the whole image,
/// reduced to `side`, shows it well.
#[must_use]
pub fn close_up(image: &Rgb, marks: &[Mark], side: u32) -> Option<Rgb> {
    /// Shortest side of a mark that is seen well, in pixels of what is shown.
    const SEEN: f32 = 40.0;
    /// How much wider the part is than the mark, and how wide at least, in pixels of the image.
    const AROUND: f32 = 3.0;
    const LEAST: f32 = 24.0;
    let [x1, y1, x2, y2] = marks.first()?.corners;
    let (width, height) = (image.width as f32, image.height as f32);
    let (longest, shortest) = ((x2 - x1).max(y2 - y1), (x2 - x1).min(y2 - y1));
    let shown = shortest * (side as f32 / width.max(height)).min(1.0);
    let part = (longest * AROUND).max(LEAST).min(width.min(height));
    if shown.is_nan() || shown >= SEEN || part >= width.max(height) {
        return None;
    }
    let start = |from: f32, to: f32, most: f32| ((from + to - part) / 2.0).clamp(0.0, most - part).floor();
    let (left, top) = (start(x1, x2, width), start(y1, y2, height));
    let [x0, y0, part] = [left, top, part.floor()].map(f64::from);
    let region = Region { x0, y0, x1: x0 + part, y1: y0 + part };
    let near = resize(image, region, side, side, Interpolation::Bilinear);
    let scale = side as f32 / part as f32;
    let same = |mark: &&Mark| overlap(&mark.corners, &marks[0].corners) > 0.5;
    let here: Vec<Mark> = marks.iter().filter(same).cloned().collect();
    Some(marked(&near, &moved(&here, [left, top], [scale; 2])))
}

/// Intersection over union.
fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let area = |c: &[f32; 4]| (c[2] - c[0]).max(0.0) * (c[3] - c[1]).max(0.0);
    let shared = area(&[a[0].max(b[0]), a[1].max(b[1]), a[2].min(b[2]), a[3].min(b[3])]);
    let all = area(a) + area(b) - shared;
    // Of a mark without an area, only itself is in its place.
    if all > 0.0 { shared / all } else { f32::from(u8::from(a == b)) }
}

/// Boxes and texts of marks on a part of the image that is drawn at another scale; covered pixels belong to the whole
/// image and stay there. What is left of a box is at least so wide that its outline is seen.
fn moved(marks: &[Mark], [left, top]: [f32; 2], [across, down]: [f32; 2]) -> Vec<Mark> {
    const LEAST: f32 = 6.0;
    let span = |from: f32, to: f32| {
        let more = ((LEAST - (to - from)) / 2.0).max(0.0);
        (from - more, to + more)
    };
    let mark = |mark: &Mark| {
        let [x1, y1, x2, y2] = mark.corners;
        let (x1, x2) = span((x1 - left) * across, (x2 - left) * across);
        let (y1, y2) = span((y1 - top) * down, (y2 - top) * down);
        Mark { corners: [x1, y1, x2, y2], covered: None, ..mark.clone() }
    };
    marks.iter().map(mark).collect()
}

/// `corners` as whole pixels within the image: left, top, right, bottom, the last two excluded.
fn pixels(image: &Rgb, corners: [f32; 4]) -> [u32; 4] {
    let edge = |value: f32, most: u32| value.round().clamp(0.0, most as f32) as u32;
    let [x1, y1, x2, y2] = corners;
    [edge(x1, image.width), edge(y1, image.height), edge(x2, image.width), edge(y2, image.height)]
}

/// Mixes the pixels of an object with its colour, and paints those near the edge of it in it.
fn tint(image: &mut Rgb, covered: &Mask, colour: [u8; 3], thick: u32) {
    let Tile { x0, y0, x1, y1 } = covered.window();
    let (x1, y1) = (x1.min(image.width), y1.min(image.height));
    for y in y0..y1 {
        for x in (x0..x1).filter(|&x| covered.contains(x, y)) {
            let near = |at: u32| [at.checked_sub(thick), Some(at + thick)];
            let beside = near(x).map(|x| x.is_some_and(|x| covered.contains(x, y)));
            let above = near(y).map(|y| y.is_some_and(|y| covered.contains(x, y)));
            let inside = beside.into_iter().chain(above).all(|inside| inside);
            let share = if inside { TINT } else { 1.0 };
            let at = (y as usize * image.width as usize + x as usize) * 3;
            for (value, colour) in image.data[at..at + 3].iter_mut().zip(colour) {
                *value = (f32::from(*value) * (1.0 - share) + f32::from(colour) * share).round() as u8;
            }
        }
    }
}

fn outline(image: &mut Rgb, mark: &Mark, thick: u32) {
    let [left, top, right, bottom] = pixels(image, mark.corners);
    let inner = [
        left.saturating_add(thick),
        top.saturating_add(thick),
        right.saturating_sub(thick),
        bottom.saturating_sub(thick),
    ];
    fill(image, [left, top, right, inner[1].min(bottom)], mark.colour);
    fill(image, [left, inner[3].max(top), right, bottom], mark.colour);
    fill(image, [left, top, inner[0].min(right), bottom], mark.colour);
    fill(image, [inner[2].max(left), top, right, bottom], mark.colour);
}

/// The text on a ground of the mark's colour: above the box or, where there is no room or another text, below it, or
/// else in it.
fn tag(image: &mut Rgb, mark: &Mark, scale: u32, taken: &mut Vec<[u32; 4]>) {
    let [left, top, _, bottom] = pixels(image, mark.corners);
    let length = u32::try_from(mark.text.chars().count()).unwrap_or(0);
    let (width, height) = (length.saturating_mul(GLYPH).saturating_add(2).saturating_mul(scale), (GLYPH + 2) * scale);
    let left = left.min(image.width.saturating_sub(width));
    let at = |top: u32| [left, top, left.saturating_add(width), top.saturating_add(height)];
    let is_free = |place: &[u32; 4]| {
        let meets =
            |other: &[u32; 4]| place[0] < other[2] && other[0] < place[2] && place[1] < other[3] && other[1] < place[3];
        place[3] <= image.height && !taken.iter().any(meets)
    };
    let places = [top.checked_sub(height), Some(bottom), Some(top), top.checked_add(height)];
    let free = places.into_iter().flatten().map(at).find(is_free);
    let place = free.unwrap_or_else(|| at(top.checked_sub(height).unwrap_or(top)));
    taken.push(place);
    fill(image, place, mark.colour);
    let [r, g, b] = mark.colour.map(u32::from);
    // Black or white, whichever stands out more (luma of ITU-R BT.601).
    let ink = if 299 * r + 587 * g + 114 * b > 128_000 { 0 } else { 255 };
    caption::write(image, &mark.text, [place[0] + scale, place[1] + scale], scale, ink);
}

fn fill(image: &mut Rgb, [left, top, right, bottom]: [u32; 4], colour: [u8; 3]) {
    let (right, bottom) = (right.min(image.width), bottom.min(image.height));
    let stride = image.width as usize * 3;
    for y in top..bottom.max(top) {
        let line = &mut image.data[y as usize * stride..][..stride];
        for pixel in &mut line.as_chunks_mut::<3>().0[left.min(right) as usize..right as usize] {
            *pixel = colour;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_box_is_outlined_tagged_and_cut_at_the_edges() {
        let image = Rgb::filled(100, 80, [9; 3]);
        let found = Detection { corners: [-20.0, 30.0, 60.0, 500.0], score: 0.5, label: 1, mask: None };
        let out = detections(&image, &[found], &["a".into(), "b".into()], 0.5);
        let pixel = |x: usize, y: usize| &out.data[3 * (y * 100 + x)..][..3];
        assert_eq!(pixel(0, 50), colour(1));
        assert_eq!(pixel(59, 50), colour(1));
        assert_eq!(pixel(30, 79), colour(1), "the lower edge lies on the last row");
        assert_eq!(pixel(30, 55), [9; 3], "the inside stays");
        assert_eq!(pixel(70, 50), [9; 3], "the outside stays");
        assert!(out.data[3 * 21 * 100..][..3 * 50].contains(&0), "there is text above the box");
        for corners in [[f32::NAN; 4], [1e30, -1e30, 2e30, 3e30], [50.0, 50.0, 40.0, 40.0]] {
            let odd = marked(&image, &[Mark { corners, colour: [0; 3], text: "x".repeat(99), covered: None }]);
            assert_eq!(odd.data.len(), image.data.len());
        }
    }

    #[test]
    fn an_outline_is_a_closed_line() {
        let mut image = Rgb::filled(100, 50, [9; 3]);
        let ring = vec![[0.1, 0.2], [0.9, 0.2], [0.9, 0.8], [0.1, 0.8]];
        outline_of(
            &mut image,
            &Outline { rings: vec![ring, vec![[-3.0, 0.5], [f64::NAN, 2.0], [9.0, 0.5]]] },
            [200, 0, 0],
        );
        let is_red = |x: usize, y: usize| image.data[3 * (y * 100 + x)..][..3] == [200, 0, 0];
        assert!([(50, 10), (50, 40), (10, 25), (90, 25)].into_iter().all(|(x, y)| is_red(x, y)));
        assert!(!is_red(50, 15));
    }

    #[test]
    fn two_texts_of_one_place_are_both_seen() {
        let image = Rgb::filled(100, 80, [9; 3]);
        let mark = |colour| Mark { corners: [20.0, 30.0, 60.0, 50.0], colour, text: "x".into(), covered: None };
        let out = marked(&image, &[mark([200, 0, 0]), mark([0, 0, 200])]);
        let pixel = |x: usize, y: usize| &out.data[3 * (y * 100 + x)..][..3];
        assert_eq!((pixel(20, 25), pixel(20, 55)), (&[200, 0, 0][..], &[0, 0, 200][..]), "above and below");
    }

    #[test]
    fn a_small_mark_is_shown_from_near_and_a_large_one_is_not() {
        let image = Rgb::filled(1000, 800, [9; 3]);
        let mark = |corners| Mark { corners, colour: [200, 0, 0], text: String::new(), covered: None };
        assert!(close_up(&image, &[], 320).is_none());
        assert!(close_up(&image, &[mark([100.0, 100.0, 400.0, 500.0])], 320).is_none());
        for corners in [[0.0, 0.0, 3.0, 4.0], [990.0, 700.0, 1000.0, 800.0], [500.0, 0.0, 502.0, 800.0]] {
            let near = close_up(&image, &[mark(corners), mark([0.0, 0.0, 900.0, 700.0])], 320).unwrap();
            assert_eq!((near.width, near.height), (320, 320));
            let red = near.data.as_chunks::<3>().0.iter().filter(|pixel| **pixel == [200, 0, 0]).count();
            assert!((50..6000).contains(&red), "{corners:?}: {red}");
        }
        assert!(close_up(&image, &[mark([f32::NAN; 4])], 320).is_none());
        assert_eq!(fitted(&image, &[mark([0.0, 0.0, 1000.0, 800.0])], 320).width, 320);
    }
}
