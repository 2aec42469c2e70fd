//! Boxes that are tiny, drawn twice, or of different labels in one place.

use schemas::check::FindingKind;

use super::{At, Data, Found, Said, Shown};
use crate::error::DataError;
use crate::target::{Object, Targets};

/// Boxes of one label that overlap by so much are one box drawn twice.
const DOUBLED: f32 = 0.95;
/// Boxes of different labels that overlap by so much are of one object.
const CONFLICTING: f32 = 0.9;
/// Shortest side of a box, in pixels of the image as a model sees it.
const SHORTEST: f32 = 4.0;

pub(super) fn check(data: &Data, found: &mut Vec<Found>) -> Result<(), DataError> {
    for at in data.images() {
        let Targets::Objects(all) = &data.sides[at.side].rows.targets else { return Ok(()) };
        let objects = all.of(at.index);
        overlapping(data, at, objects, found)?;
        cut(data, at, found)?;
        tiny(data, at, objects, found)?;
    }
    Ok(())
}

/// Intersection over union.
fn overlap(a: &[f32; 4], b: &[f32; 4]) -> f32 {
    let width = (a[2].min(b[2]) - a[0].max(b[0])).max(0.0);
    let height = (a[3].min(b[3]) - a[1].max(b[1])).max(0.0);
    let area = |c: &[f32; 4]| (c[2] - c[0]) * (c[3] - c[1]);
    let shared = width * height;
    shared / (area(a) + area(b) - shared)
}

/// Two objects, by their places, and by how much they overlap.
type Pair = (usize, usize, f32);

fn overlapping(data: &Data, at: At, objects: &[Object], found: &mut Vec<Found>) -> Result<(), DataError> {
    let (mut doubled, mut conflicting): (Vec<Pair>, Vec<Pair>) = (Vec::new(), Vec::new());
    // From left to right, so that only neighbours are compared.
    let mut order: Vec<usize> = (0..objects.len()).filter(|&object| !objects[object].is_crowd).collect();
    order.sort_by(|&a, &b| objects[a].corners[0].total_cmp(&objects[b].corners[0]).then(a.cmp(&b)));
    for (place, &a) in order.iter().enumerate() {
        for &b in order[place + 1..].iter().take_while(|&&b| objects[b].corners[0] < objects[a].corners[2]) {
            let by = overlap(&objects[a].corners, &objects[b].corners);
            let same = objects[a].class == objects[b].class;
            if same && by >= DOUBLED {
                doubled.push((a.min(b), a.max(b), by));
            } else if !same && by >= CONFLICTING {
                conflicting.push((a.min(b), a.max(b), by));
            }
        }
    }
    let advice = "remove one of each two; a model would learn to find the object twice";
    pairs(data, at, doubled, (FindingKind::DoubledBox, DOUBLED, advice), found)?;
    let advice = "keep the right one of each two, unless the object is both";
    pairs(data, at, conflicting, (FindingKind::ConflictingBox, CONFLICTING, advice), found)
}

fn pairs(
    data: &Data,
    at: At,
    mut pairs: Vec<Pair>,
    (kind, limit, advice): (FindingKind, f32, &str),
    found: &mut Vec<Found>,
) -> Result<(), DataError> {
    pairs.sort_by_key(|&(a, b, _)| (a, b));
    let Some(&(a, b, by)) = pairs.first() else { return Ok(()) };
    let Targets::Objects(all) = &data.sides[at.side].rows.targets else { return Ok(()) };
    let named = names(data, &Shown { at, objects: vec![a, b] }, all.of(at.index), BOX)?.join(" and ");
    let more = match pairs.len() {
        1 => String::new(),
        2 => "; so does 1 more pair".to_owned(),
        n => format!("; so do {} more pairs", n - 1),
    };
    let message = format!("{}: {named} overlap by {by:.2}, at least {limit}{more}", data.name(at)?);
    let mut objects: Vec<usize> = pairs.iter().flat_map(|&(a, b, _)| [a, b]).collect();
    objects.sort_unstable();
    objects.dedup();
    found.push(data.found(Said::new(kind, message, advice), vec![Shown { at, objects }])?);
    Ok(())
}

/// What a box is called in messages: with its number, and without.
const BOX: [&str; 2] = ["box", "a box"];

/// Objects of an image for people: by their places in the row, with their labels. `called` is what one is called with its number,
/// and without.
pub(super) fn names(
    data: &Data,
    shown: &Shown,
    objects: &[Object],
    called: [&str; 2],
) -> Result<Vec<String>, DataError> {
    let label = |object: usize| &data.labels[objects[object].class as usize];
    let name = |(number, &object): (Option<u64>, &usize)| match number {
        Some(number) => format!("{} {number} ({})", called[0], label(object)),
        None => format!("{} of a further row of it ({})", called[1], label(object)),
    };
    Ok(data.numbers(shown)?.into_iter().zip(&shown.objects).map(name).collect())
}

/// Boxes that stick out are cut when they are read, so the row is read again where there are any.
fn cut(data: &Data, at: At, found: &mut Vec<Found>) -> Result<(), DataError> {
    let side = &data.sides[at.side];
    if side.rows.cut == 0 {
        return Ok(());
    }
    let boxes = data.boxes(at)?;
    let objects: Vec<usize> = (0..boxes.len()).filter(|&object| boxes[object].is_cut).collect();
    let many = match objects.len() {
        0 => return Ok(()),
        1 => "1 box sticks".to_owned(),
        n => format!("{n} boxes stick"),
    };
    let message = format!("{}: {many} out of the image", data.name(at)?);
    let advice = "correct what wrote the boxes if it is more than rounding; training cuts them at the edge";
    found.push(data.found(Said::new(FindingKind::CutBox, message, advice), vec![Shown { at, objects }])?);
    Ok(())
}

fn tiny(data: &Data, at: At, objects: &[Object], found: &mut Vec<Found>) -> Result<(), DataError> {
    let Some(facts) = data.facts(at) else { return Ok(()) };
    let [width, height] = facts.size.map(|side| side as f32);
    // What is enlarged does not become clearer.
    let scale = (data.side as f32 / width.max(height)).min(1.0);
    let sides = |object: &Object| {
        let [x1, y1, x2, y2] = object.corners;
        [(x2 - x1) * width * scale, (y2 - y1) * height * scale]
    };
    let is_tiny = |object: &&usize| sides(&objects[**object]).iter().any(|side| *side < SHORTEST);
    let all: Vec<usize> = (0..objects.len()).collect();
    let tiny: Vec<usize> = all.iter().filter(is_tiny).copied().collect();
    let Some(&first) = tiny.first() else { return Ok(()) };
    let [x, y] = sides(&objects[first]);
    let named = names(data, &Shown { at, objects: vec![first] }, objects, BOX)?.concat();
    let more = match tiny.len() {
        1 => String::new(),
        2 => "; 1 more box is as small".to_owned(),
        n => format!("; {} more boxes are as small", n - 1),
    };
    let seen = if scale < 1.0 {
        format!("where a model sees the image with a longer side of {} pixels", data.side)
    } else {
        format!("in an image of {width} x {height}")
    };
    let message =
        format!("{}: {named} is {x:.1} x {y:.1} pixels {seen}, and {SHORTEST} are the least{more}", data.name(at)?);
    let advice = "remove it if it is a slip; for small objects cut images into tiles (--tile_grid_size) or train at a \
                  larger size";
    found.push(data.found(Said::new(FindingKind::TinyBox, message, advice), vec![Shown { at, objects: tiny }])?);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlap_is_intersection_over_union() {
        assert!((overlap(&[0.0, 0.0, 0.5, 0.5], &[0.0, 0.0, 0.5, 0.5]) - 1.0).abs() < 1e-6);
        assert!((overlap(&[0.0, 0.0, 0.5, 0.5], &[0.25, 0.0, 0.75, 0.5]) - 1.0 / 3.0).abs() < 1e-6);
        assert!(overlap(&[0.0, 0.0, 0.2, 0.2], &[0.5, 0.5, 0.7, 0.7]).abs() < 1e-6);
    }
}
