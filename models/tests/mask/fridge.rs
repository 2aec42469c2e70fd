//! From masks of real objects to polygons of few points and back.

use std::path::{Path, PathBuf};

use models::host::mask::{Fill, Mask, Outline};
use models::host::{Limits, Rgb, Tile, decode};
use serde_json::Value;

/// The size that the images have, or more.
const SIZE: [u32; 2] = [666, 666];

/// The folder of the fridge's masks, where there is one.
fn folder() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/fridge/segmentation");
    if !folder.is_dir() {
        eprintln!("skipped: {} is missing", folder.display());
        return None;
    }
    Some(folder)
}

/// The objects of the rows, filled even-odd. Most of their rings begin with the corner of the image, a slip of whoever wrote
/// them: it draws a line of lone pixels across the image, for which few points are too few. It is left out.
fn of_polygons(folder: &Path) -> Vec<Mask> {
    let files =
        ["training-mltable-folder/train_annotations.jsonl", "validation-mltable-folder/validation_annotations.jsonl"];
    let text: String = files.iter().map(|file| std::fs::read_to_string(folder.join(file)).expect("rows")).collect();
    let mut masks = Vec::new();
    for row in text.lines() {
        let row: Value = serde_json::from_str(row).expect("a row");
        let [width, height] =
            ["width", "height"].map(|side| row["image_details"][side].as_u64().expect("a side") as u32);
        for object in row["label"].as_array().expect("objects") {
            let mut polygon = serde_json::from_value::<Vec<Vec<f64>>>(object["polygon"].clone()).expect("segments");
            for ring in polygon.iter_mut().filter(|ring| ring.starts_with(&[0.0, 0.0])) {
                ring.drain(..2);
            }
            let outline = Outline::from_segments(&polygon, [f64::from(width), f64::from(height)]).expect("rings");
            masks.push(outline.rasterise(Fill::EvenOdd, outline.window(width, height)));
        }
    }
    masks
}

/// The objects of the images of ids.
fn of_images(folder: &Path) -> Vec<Mask> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(folder.join("voc-masks"))
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    paths.sort();
    let mut masks = Vec::new();
    for path in paths {
        let image = decode(&std::fs::read(path).expect("a file"), &Limits::default()).expect("an image");
        let id = |image: &Rgb, x: u32, y: u32| image.data[(y * image.width + x) as usize * 3];
        let highest = image.data.iter().max().copied().unwrap_or(0);
        for object in 1..=highest {
            let mask = Mask::from_pixels(Tile::whole(&image), |x, y| id(&image, x, y) == object);
            masks.extend(mask.bounds().map(|bounds| mask.within(bounds)));
        }
    }
    masks
}

#[test]
fn few_points_hold_nearly_all_of_real_objects() {
    let Some(folder) = folder() else { return };
    for (name, masks) in [("polygons", of_polygons(&folder)), ("images", of_images(&folder))] {
        assert!(masks.len() > 200, "{name}: {} objects", masks.len());
        let exact = masks.iter().map(Mask::outline).collect::<Vec<_>>();
        for (limit, least) in [(usize::MAX, 1.0), (400, 0.999), (100, 0.995)] {
            let (mut worst, mut sum) = (1.0_f64, 0.0);
            for (mask, exact) in masks.iter().zip(&exact) {
                let outline = exact.simplified(limit);
                assert!(outline.points() <= limit);
                // By way of what a row or an answer holds.
                let rows =
                    Outline::from_segments(&outline.fractions(SIZE[0], SIZE[1]), SIZE.map(f64::from)).expect("rings");
                let back = rows.rasterise(Fill::EvenOdd, mask.window());
                let overlap = back.overlap(mask, false);
                assert!(overlap >= least, "{name}: {overlap} at {limit} points");
                (worst, sum) = (worst.min(overlap), sum + overlap);
            }
            println!(
                "{name}: {} objects, {limit} points: IoU at least {worst}, {} on average",
                masks.len(),
                sum / masks.len() as f64
            );
        }
    }
}
