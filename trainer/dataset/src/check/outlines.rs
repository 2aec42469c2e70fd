//! Outlines with a point that does not belong to them, that cross themselves, that cover nothing, or that are boxes.

use models::host::mask::{Fill, Outline, Ring};
use schemas::Labels;
use schemas::check::FindingKind;

use super::boxes::names;
use super::winding::Windings;
use super::{At, Data, Found, Said, Shown};
use crate::error::DataError;
use crate::outline::{area, stray};
use crate::target::Targets;

/// Share of a ring's rounds around pixels that may be of no use, as where it crosses itself.
const CROSSING: f64 = 0.1;
/// Rounds that may be so besides, because pixels are whole.
const ROUNDING: f64 = 8.0;

pub(super) fn check(data: &Data, found: &mut Vec<Found>) -> Result<(), DataError> {
    match data.task.labels() {
        Labels::Outlines => {}
        Labels::Class | Labels::Classes | Labels::Boxes => return Ok(()),
    }
    let mut boxes = Boxes::default();
    for at in data.images() {
        let Targets::Objects(all) = &data.sides[at.side].rows.targets else { return Ok(()) };
        let Some(facts) = data.facts(at) else { continue };
        let (mut strays, mut crossing, mut empty) = (Vec::new(), Vec::new(), Vec::new());
        for (place, object) in all.of(at.index).iter().enumerate() {
            let Some(outline) = &object.outline else { continue };
            let [width, height] = facts.size;
            let outline = outline.map(|[x, y]| [x * f64::from(width), y * f64::from(height)]);
            if let Some(words) = stray_point(&outline, facts.size) {
                // The lines to such a point may cross the others, which is no second fault.
                strays.push((place, words));
            } else if let Some(words) = outline.rings.iter().find_map(|ring| crosses(ring, facts.size)) {
                crossing.push((place, words));
            }
            if outline.covered(width, height).area() == 0 {
                empty.push((place, "covers no pixel".to_owned()));
            }
            boxes.look(at, place, &outline);
        }
        let of_image = [
            (FindingKind::StrayPoint, strays, STRAY),
            (FindingKind::CrossingOutline, crossing, CROSSED),
            (FindingKind::EmptyOutline, empty, EMPTY),
        ];
        for (kind, faults, advice) in of_image {
            of_objects(data, at, (kind, advice), faults, found)?;
        }
    }
    boxes.tell(data, found)
}

const STRAY: &str = "remove the point: it draws a line to itself, and makes the object's box too large; \
                     convert jsonl --to jsonl --drop_stray_points writes rows without such points";
const CROSSED: &str = "draw the outline again; what it goes around twice is taken for a hole";
const EMPTY: &str = "remove the object, or draw it again; a model learns an empty mask from it";

/// What is wrong with an object: its place in the row, and in words.
type Fault = (usize, String);

fn of_objects(
    data: &Data,
    at: At,
    (kind, advice): (FindingKind, &str),
    faults: Vec<Fault>,
    found: &mut Vec<Found>,
) -> Result<(), DataError> {
    let Some((first, words)) = faults.first() else { return Ok(()) };
    let Targets::Objects(all) = &data.sides[at.side].rows.targets else { return Ok(()) };
    let shown = Shown { at, objects: vec![*first] };
    let named = names(data, &shown, all.of(at.index), ["object", "an object"])?.concat();
    let more = match faults.len() {
        1 => String::new(),
        2 => "; so does 1 more".to_owned(),
        n => format!("; so do {} more", n - 1),
    };
    let message = format!("{}: the outline of {named} {words}{more}", data.name(at)?);
    let objects = faults.into_iter().map(|(place, _)| place).collect();
    found.push(data.found(Said::new(kind, message, advice), vec![Shown { at, objects }])?);
    Ok(())
}

/// What there is to say of the first point that does not belong to the outline.
fn stray_point(outline: &Outline, size: [u32; 2]) -> Option<String> {
    outline.rings.iter().find_map(|ring| {
        let stray = stray(ring, size.map(f64::from))?;
        let [x, y] = ring[stray.place];
        let corner = if stray.in_corner { ", a corner of the image," } else { "" };
        Some(format!("has a point at {x:.0}, {y:.0}{corner} {:.0} pixels from all others", stray.away))
    })
}

/// What there is to say of a ring that crosses itself by enough to change what it holds.
fn crosses(ring: &Ring, [width, height]: [u32; 2]) -> Option<String> {
    // Looked at first, because it is quick: the area that its points enclose, counted with their turns, is not the one
    // that it has.
    let turned = area(ring);
    let alone = Outline { rings: vec![ring.clone()] };
    let window = alone.window(width, height);
    let covered = alone.rasterise(Fill::EvenOdd, window).area() as f64;
    if (turned - covered).abs() <= CROSSING * turned.max(covered) + ROUNDING {
        return None;
    }
    let windings = Windings::of(ring, window);
    let shares = [
        (windings.holes, "twice, which makes a hole of them"),
        (windings.against, "the other way"),
        (windings.again, "three times and more"),
    ];
    let shares = shares.iter().filter(|(pixels, _)| *pixels > 0).map(|(pixels, how)| format!("{pixels} of them {how}"));
    let shares = shares.collect::<Vec<_>>().join(", and ");
    (windings.excess as f64 > CROSSING * windings.rounds as f64 + ROUNDING)
        .then(|| format!("crosses itself: it goes around {} pixels, {shares}", windings.around))
}

/// Outlines that are boxes, of all parts.
#[derive(Default)]
struct Boxes {
    outlines: usize,
    boxes: usize,
    /// The first in each image.
    images: Vec<Shown>,
}

impl Boxes {
    /// Fewer are what objects may well look like.
    const LEAST: usize = 3;
    /// So many outlines in each that is a box.
    const SHARE: usize = 10;

    fn look(&mut self, at: At, place: usize, outline: &Outline) {
        self.outlines += 1;
        if !is_box(outline) {
            return;
        }
        self.boxes += 1;
        match self.images.last_mut().filter(|last| last.at == at) {
            Some(last) => last.objects.push(place),
            None => self.images.push(Shown { at, objects: vec![place] }),
        }
    }

    fn tell(self, data: &Data, found: &mut Vec<Found>) -> Result<(), DataError> {
        if self.boxes < Self::LEAST || self.boxes * Self::SHARE < self.outlines {
            return Ok(());
        }
        let message = format!("{} of {} outlines are upright rectangles", self.boxes, self.outlines);
        let advice = "train object detection if only boxes are known; masks that a model learns from boxes are boxes";
        found.push(data.found(Said::new(FindingKind::BoxOutline, message, advice), self.images)?);
        Ok(())
    }
}

/// Whether an outline is one upright rectangle.
fn is_box(outline: &Outline) -> bool {
    let [ring] = outline.rings.as_slice() else { return false };
    let Some(around) = outline.bounds() else { return false };
    let on = |value: f64, low: f64, high: f64| (value - low).abs() < 0.01 || (value - high).abs() < 0.01;
    let corner = |point: &[f64; 2]| on(point[0], around.x0, around.x1) && on(point[1], around.y0, around.y1);
    // From corner to corner, a ring encloses all of the rectangle, or as a triangle or bow tie half of it or nothing.
    let rectangle = (around.x1 - around.x0) * (around.y1 - around.y0);
    (4..=5).contains(&ring.len()) && ring.iter().all(corner) && area(ring) > 0.75 * rectangle
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(points: &[[f64; 2]]) -> Ring {
        points.to_vec()
    }

    #[test]
    fn a_ring_that_crosses_itself_is_told_from_one_that_is_ragged() {
        let bow = ring(&[[10.0, 10.0], [50.0, 50.0], [50.0, 10.0], [10.0, 50.0]]);
        // 40 of 1600 pixels have their middles on a line, and each belongs to one side.
        let said = crosses(&bow, [100, 100]).unwrap();
        assert_eq!(said, "crosses itself: it goes around 800 pixels, 400 of them the other way");
        // Of 800 rounds around pixels of the image, not of what lies beyond it.
        let round = |n: i32| f64::from(n) * 7.1;
        let star: Ring = (0..10_000).map(|n| [50.0 + 30.0 * round(n).cos(), 50.0 + 30.0 * round(n).sin()]).collect();
        let said = crosses(&star, [100, 60]).unwrap();
        let numbers: Vec<u64> = said.split(' ').filter_map(|word| word.parse().ok()).collect();
        assert!(numbers.len() >= 2 && numbers.iter().all(|pixels| *pixels <= 2000), "{said}");
        let twice =
            ring(&[[10.0, 10.0], [50.0, 10.0], [50.0, 50.0], [10.0, 50.0], [10.0, 10.0], [45.0, 10.0], [45.0, 45.0]]);
        let said = crosses(&twice, [100, 100]).unwrap();
        assert!(said.starts_with("crosses itself: it goes around 1600 pixels, "), "{said}");
        assert!(said.ends_with(" of them twice, which makes a hole of them"), "{said}");
        let comb: Ring = (0..40).map(|n| [10.0 + f64::from(n), if n % 2 == 0 { 10.0 } else { 14.5 }]).collect();
        let ragged = [comb, vec![[49.0, 60.0], [10.0, 60.0]]].concat();
        assert_eq!(crosses(&ragged, [100, 100]), None);
        assert_eq!(crosses(&ring(&[[1.0, 1.0], [4.0, 1.0], [2.5, 4.0]]), [100, 100]), None, "small");
    }

    #[test]
    fn boxes_are_upright_rectangles() {
        let outline = |points: &[[f64; 2]]| Outline { rings: vec![ring(points)] };
        assert!(is_box(&outline(&[[1.0, 2.0], [5.0, 2.0], [5.0, 9.0], [1.0, 9.0]])));
        assert!(is_box(&outline(&[[1.0, 2.0], [5.0, 2.0], [5.0, 9.0], [1.0, 9.0], [1.0, 2.0]])));
        assert!(!is_box(&outline(&[[1.0, 2.0], [5.0, 3.0], [5.0, 9.0], [1.0, 9.0]])));
        assert!(!is_box(&outline(&[[1.0, 2.0], [5.0, 2.0], [5.0, 9.0]])));
        assert!(!is_box(&outline(&[[1.0, 2.0], [5.0, 9.0], [5.0, 2.0], [1.0, 9.0]])), "a bow tie");
        assert!(!is_box(&outline(&[[1.0, 2.0], [5.0, 2.0], [5.0, 9.0], [5.0, 2.0]])), "a triangle");
    }
}
