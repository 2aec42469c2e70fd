//! Outlines that are wrong.

use schemas::check::FindingKind as Kind;
use serde_json::{Value, json};

use crate::plot::{Plot, outline_bounds};

pub fn plant(plot: &mut Plot) {
    for number in 0..4 {
        stray(plot, number);
        crossing(plot, number);
    }
    empty(plot);
}

pub fn plant_boxes(plot: &mut Plot) {
    let places: Vec<_> = (0..40).map(|_| plot.take(is_roomy)).collect();
    for &place in &places {
        let [x1, y1, x2, y2] = outline_bounds(&plot.row(place)["label"][0]["polygon"]);
        let outline = json!([[x1, y1, x2, y1, x2, y2, x1, y2]]);
        plot.change(place, |row| {
            row["label"] = json!([{ "label": row["label"][0]["label"], "polygon": outline }]);
        });
    }
    plot.planted(Kind::BoxOutline, places);
}

/// Whether the first object is neither small nor at an edge.
fn is_roomy(row: &Value) -> bool {
    let polygon = &row["label"][0]["polygon"];
    let [x1, y1, x2, y2] = outline_bounds(polygon);
    x1 > 0.03 && y1 > 0.03 && x2 < 0.97 && y2 < 0.97 && x2 - x1 > 0.05 && y2 - y1 > 0.05
}

/// A corner of the image, each in its turn, somewhere along the outline.
fn stray(plot: &mut Plot, number: usize) {
    let place = plot.take(is_roomy);
    let corner = [[0.0, 0.0], [1.0, 0.0], [0.0, 1.0], [1.0, 1.0]][number];
    plot.change(place, |row| {
        let ring = row["label"][0]["polygon"][0].as_array_mut().unwrap();
        let at = ring.len() / 6 * number * 2;
        ring.splice(at..at, corner.map(Value::from));
    });
    plot.planted_in(Kind::StrayPoint, place, &[0]);
}

/// A bow tie, upright or lying.
fn crossing(plot: &mut Plot, number: usize) {
    let place = plot.take(is_roomy);
    let [x1, y1, x2, y2] = outline_bounds(&plot.row(place)["label"][0]["polygon"]);
    let tie =
        if number.is_multiple_of(2) { [x1, y1, x2, y2, x2, y1, x1, y2] } else { [x1, y1, x2, y2, x1, y2, x2, y1] };
    plot.change(place, |row| row["label"][0]["polygon"] = json!([tie]));
    plot.planted_in(Kind::CrossingOutline, place, &[0]);
}

/// Large enough to be a box, too small to hold the middle of a pixel.
fn empty(plot: &mut Plot) {
    let place = plot.take(is_roomy);
    let [x, y, ..] = outline_bounds(&plot.row(place)["label"][0]["polygon"]);
    plot.change(place, |row| row["label"][0]["polygon"] = json!([[x, y, x + 1e-5, y, x, y + 1e-5]]));
    plot.planted_in(Kind::EmptyOutline, place, &[0]);
    plot.planted_in(Kind::TinyBox, place, &[0]);
}
