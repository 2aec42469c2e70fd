//! Rows and files that cannot be read, and images that are there more than once.

use models::host::{Limits, Region, Rgb, brightness, decode, encode_jpeg, encode_png, resize, thumbnail};
use schemas::check::{DataPart, FindingKind as Kind};
use schemas::{Interpolation, Task};
use serde_json::{Value, json};

use crate::plot::Plot;

pub fn plant(plot: &mut Plot) {
    unreadable(plot);
    missing(plot);
    rows(plot);
    copies(plot);
    if !plot.has_boxes() {
        repeated(plot);
        contradicting(plot);
    }
}

fn unreadable(plot: &mut Plot) {
    let place = plot.take_any();
    let whole = plot.bytes(place);
    for bytes in [&whole[..whole.len() / 2], &whole[..20], b"<html>404</html>", b""] {
        let place = plot.take_any();
        plot.replace(place, bytes);
        plot.planted(Kind::UnreadableImage, [place]);
    }
}

fn missing(plot: &mut Plot) {
    for name in ["gone.jpg", "/nowhere/gone.jpg", "../gone too.png", "file:///nowhere/gone%20three.png"] {
        let place = plot.take_any();
        plot.change(place, |row| row["image_url"] = name.into());
        plot.planted(Kind::MissingImage, [place]);
    }
}

fn rows(plot: &mut Plot) {
    for line in ["{", r#"{"label":[]}"#, r#"{"image_url":"a.jpg"}"#, r#"{"image_url":"s3://b/a.jpg","label":[]}"#] {
        let place = plot.add_line(DataPart::Training, line);
        plot.planted(Kind::BadRow, [place]);
    }
}

/// An image again, so that it looks the same.
fn again(image: &Rgb, how: usize) -> Vec<u8> {
    match how {
        0 => encode_jpeg(image, 40),
        1 => encode_png(image),
        2 => encode_jpeg(&thumbnail(image, image.width.max(image.height) * 3 / 4), 90),
        _ => {
            let mut dark = image.clone();
            brightness(&mut dark, 0.85);
            encode_jpeg(&dark, 80)
        }
    }
}

/// Whether brightness hardly differs from place to place.
fn is_flat(row: &Value) -> bool {
    let bytes = std::fs::read(row["image_url"].as_str().unwrap()).unwrap();
    let image = decode(&bytes, &Limits::default()).unwrap();
    let small = resize(&image, Region::whole(&image), 16, 16, Interpolation::Bilinear);
    let values: Vec<f64> = small.data.iter().map(|&value| f64::from(value)).collect();
    let mean = values.iter().sum::<f64>() / values.len() as f64;
    values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / (values.len() as f64) < 25.0
}

/// Plants the same images and others that look the same, in one part and in two.
fn copies(plot: &mut Plot) {
    for number in 0..4 {
        let other = plot.other_part(number);
        for (part, kind) in [(DataPart::Training, Kind::DuplicateImage), (other, Kind::LeakedImage)] {
            let place = plot.take_any();
            let copy = plot.add(part, &plot.bytes(place), &plot.row(place));
            plot.planted(kind, [place, copy]);
        }
        for (part, kind) in [(DataPart::Training, Kind::NearDuplicate), (other, Kind::LeakedNearDuplicate)] {
            // Of dark images, copies that lost anything are not told from others.
            let place = plot.take(|row| number == 1 || !is_flat(row));
            let mut row = plot.row(place);
            if plot.has_boxes() {
                // Small ones would be tiny in a smaller copy.
                row["label"] = json!([]);
            }
            let copy = plot.add(part, &again(&plot.image(place), number), &row);
            plot.planted(kind, [place, copy]);
        }
    }
}

fn repeated(plot: &mut Plot) {
    for _ in 0..4 {
        let place = plot.take_any();
        plot.add_line(DataPart::Training, plot.row(place).to_string());
        plot.planted(Kind::RepeatedRow, [place]);
    }
}

/// A label that a row does not have, of the classes of the set.
fn other_label(plot: &Plot, row: &Value) -> Value {
    let mut all = plot.rows(DataPart::Training).map(|place| plot.row(place)["label"].clone());
    all.find(|label| *label != row["label"] && *label != json!([]) && *label != Value::Null).unwrap()
}

fn contradicting(plot: &mut Plot) {
    assert!(matches!(plot.task, Task::ImageClassification | Task::ImageClassificationMultilabel));
    for number in 0..4 {
        let place = plot.take_any();
        let mut row = plot.row(place);
        row["label"] = other_label(plot, &row);
        // In one part, and in two, where it is a leak besides.
        let part = if number < 2 { DataPart::Training } else { plot.other_part(number) };
        let copy = plot.add(part, &plot.bytes(place), &row);
        plot.planted(Kind::ContradictingLabel, [place, copy]);
        if part != DataPart::Training {
            plot.planted(Kind::LeakedImage, [place, copy]);
        }
    }
}
