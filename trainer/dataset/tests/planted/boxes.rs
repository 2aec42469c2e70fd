//! Boxes that are wrong.

use schemas::check::FindingKind as Kind;
use serde_json::{Value, json};

use crate::labels::first_box;
use crate::plot::{Place, Plot, boxed};

pub fn plant(plot: &mut Plot) {
    for number in 0..4 {
        bad(plot, number);
        cut(plot, number);
        tiny(plot, number);
        doubled(plot, number);
    }
    conflicting(plot);
    behind_a_bad_one(plot);
}

/// Whether the first box is neither small nor near the edge.
fn is_roomy(row: &Value) -> bool {
    first_box(row).is_some_and(|[x1, y1, x2, y2]| x2 - x1 > 0.03 && y2 - y1 > 0.03 && x2 < 0.97 && y2 < 0.97)
}

fn set(plot: &mut Plot, place: Place, object: Value) {
    plot.change(place, |row| row["label"][0] = object);
}

/// Outside, inside out, empty, and without a label.
fn bad(plot: &mut Plot, number: usize) {
    let place = plot.take(is_roomy);
    let first = plot.row(place)["label"][0].clone();
    let object = boxed(&first, |[x1, y1, x2, y2]| match number {
        0 => [1.5, y1, 2.5, y2],
        1 => [x2, y2, x1, y1],
        2 => [x1, y1, x1, y2],
        _ => [x1, y1, x2, y2],
    });
    let object = if number == 3 { json!({ "topX": 0.1, "topY": 0.1, "bottomX": 0.2, "bottomY": 0.2 }) } else { object };
    set(plot, place, object);
    plot.planted(Kind::BadBox, [place]);
}

/// Over each of the edges.
fn cut(plot: &mut Plot, number: usize) {
    let place = plot.take(is_roomy);
    let first = plot.row(place)["label"][0].clone();
    let object = boxed(&first, |mut corners| {
        corners[number] = if number < 2 { -0.05 } else { 1.05 };
        corners
    });
    set(plot, place, object);
    plot.planted(Kind::CutBox, [place]);
}

/// Narrow, flat, and both.
fn tiny(plot: &mut Plot, number: usize) {
    let place = plot.take(is_roomy);
    let first = plot.row(place)["label"][0].clone();
    let object = boxed(&first, |[x1, y1, x2, y2]| match number {
        0 => [x1, y1, x1 + 0.003, y2],
        1 => [x1, y1, x2, y1 + 0.003],
        _ => [x1, y1, x1 + 0.003, y1 + 0.003],
    });
    set(plot, place, object);
    plot.planted_in(Kind::TinyBox, place, &[0]);
}

/// Twice, exactly and nearly.
fn doubled(plot: &mut Plot, number: usize) {
    let place = plot.take(is_roomy);
    let row = plot.row(place);
    let nudge = 0.002 * number as f64 * (first_box(&row).unwrap()[2] - first_box(&row).unwrap()[0]);
    let again = boxed(&row["label"][0], |[x1, y1, x2, y2]| [x1 + nudge, y1, x2 + nudge, y2]);
    let last = row["label"].as_array().unwrap().len() as u64;
    plot.change(place, |row| row["label"].as_array_mut().unwrap().push(again));
    plot.planted_in(Kind::DoubledBox, place, &[0, last]);
}

/// Under another label, which has few images besides.
fn conflicting(plot: &mut Plot) {
    let mut places = Vec::new();
    for _ in 0..4 {
        let place = plot.take(is_roomy);
        let row = plot.row(place);
        let mut again = boxed(&row["label"][0], |corners| corners);
        again["label"] = "something else".into();
        let last = row["label"].as_array().unwrap().len() as u64;
        plot.change(place, |row| row["label"].as_array_mut().unwrap().push(again));
        plot.planted_in(Kind::ConflictingBox, place, &[0, last]);
        places.push(place);
    }
    plot.planted(Kind::FewImages, places);
}

/// Objects are named by their places in the row, whatever is left out before them.
fn behind_a_bad_one(plot: &mut Plot) {
    let place = plot.take(is_roomy);
    let first = plot.row(place)["label"][0].clone();
    let bad = boxed(&first, |[x1, y1, x2, y2]| [x2, y2, x1, y1]);
    let (again, small) = (boxed(&first, |c| c), boxed(&first, |[x1, y1, _, y2]| [x1, y1, x1 + 0.003, y2]));
    plot.change(place, |row| row["label"] = json!([bad, first, again, small]));
    plot.planted(Kind::BadBox, [place]);
    plot.planted_in(Kind::DoubledBox, place, &[1, 2]);
    plot.planted_in(Kind::TinyBox, place, &[3]);
}
