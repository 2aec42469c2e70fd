//! Exported detectors with generated weights: both forms against each other, at sizes and batches of all kinds.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod support;

use exporter::export::graph;
use exporter::proto::{self, Header};
use exporter::{Form, dump};
use models::host::{self, Merge, MergeRule, Placement, Rgb, Tile};
use models::weights::CheckpointFile;
use ndarray::{Array4, s};
use runtime::{Model, Options, Overrides};
use schemas::prediction::Detection;
use schemas::setting::TileGrid;
use schemas::{CheckpointMeta, Fit};
use serde_json::json;
use support::{detector_meta, picture, state_dict, write_checkpoint};
use tempfile::TempDir;

const LETTERBOX: Fit = Fit::Letterbox { side: 96 };
const SHORTER: Fit = Fit::Shorter { min_size: 60, max_size: 133 };
/// Height and width: a point, extreme ratios, odd, larger than the limit.
const SIZES: [(usize, usize); 5] = [(1, 1), (17, 900), (641, 479), (200, 133), (64, 96)];
const MODELS: [(&str, Fit); 3] =
    [("yolov5", LETTERBOX), ("fasterrcnn_resnet18_fpn", SHORTER), ("retinanet_resnet50_fpn", SHORTER)];
const NONE: Overrides = Overrides { score_threshold: None, iou_threshold: None };

fn checkpoint(meta: &CheckpointMeta) -> (TempDir, CheckpointFile) {
    let folder = TempDir::new().unwrap();
    write_checkpoint(folder.path(), meta, &state_dict(meta));
    let checkpoint = CheckpointFile::open(folder.path()).unwrap();
    (folder, checkpoint)
}

fn bytes(checkpoint: &CheckpointFile, form: Form) -> Vec<u8> {
    let metadata = [(runtime::META_KEY, checkpoint.meta_json()), (runtime::FORM_KEY, form.name())];
    proto::bytes(graph(checkpoint, form).unwrap(), &Header { graph: "test", doc: "", metadata: &metadata }).unwrap()
}

fn open(checkpoint: &CheckpointFile, form: Form) -> Model {
    Model::from_bytes(&bytes(checkpoint, form), &Options { intra_threads: 2, library: None }).unwrap()
}

fn rgb(image: &Array4<u8>) -> Rgb {
    let (_, h, w, _) = image.dim();
    Rgb { width: w as u32, height: h as u32, data: image.iter().copied().collect() }
}

/// What the prepared form says of one image that the host has fitted.
fn prepared(model: &mut Model, image: &Rgb, overrides: &Overrides) -> Vec<Detection> {
    let fitted = host::prepare(image, &model.meta().preprocessing);
    let shape = (1, fitted.height as usize, fitted.width as usize, 3);
    let fitted = Array4::from_shape_vec(shape, fitted.data).unwrap();
    let size = [i64::from(image.height), i64::from(image.width)];
    model.detect(fitted.view(), Some(&[size]), overrides).unwrap().remove(0)
}

/// Share of `expected` that `found` has: the same label, a score within 0.01 and corners within `pixels`.
fn agreement(found: &[Detection], expected: &[Detection], pixels: f32) -> f64 {
    let mut free = found.to_vec();
    let mut matched = 0;
    for e in expected {
        let near = |f: &Detection| {
            let far = f.corners.iter().zip(e.corners).any(|(a, b)| (a - b).abs() > pixels);
            f.label == e.label && (f.score - e.score).abs() < 0.01 && !far
        };
        if let Some(at) = free.iter().position(near) {
            free.remove(at);
            matched += 1;
        }
    }
    f64::from(matched) / expected.len().max(found.len()).max(1) as f64
}

fn sound(found: &[Detection], (h, w): (usize, usize), labels: usize) {
    assert!(found.windows(2).all(|pair| pair[0].score >= pair[1].score));
    for one in found {
        let [x1, y1, x2, y2] = one.corners;
        assert!(0.0 <= x1 && x1 <= x2 && x2 <= w as f32 && 0.0 <= y1 && y1 <= y2 && y2 <= h as f32, "{one:?} {w}x{h}");
        assert!(one.score > 0.0 && one.score <= 1.0 && one.label < labels, "{one:?}");
    }
}

#[test]
fn whole_images_get_the_answers_of_prepared_ones() {
    for (model, fit) in MODELS {
        let meta = detector_meta(model, fit, &[("box_score_thresh", json!(0.05))]);
        let (_folder, checkpoint) = checkpoint(&meta);
        let [mut whole, mut fitted] = [Form::Whole, Form::Prepared].map(|form| open(&checkpoint, form));
        let (mut boxes, mut worst) = (0, 1.0_f64);
        for (h, w) in SIZES {
            let image = picture(&format!("{h}x{w}"), 1, h, w);
            let found = whole.detect(image.view(), None, &NONE).unwrap().remove(0);
            let expected = prepared(&mut fitted, &rgb(&image), &NONE);
            sound(&found, (h, w), 3);
            let pixels = 0.5 * (h.max(w) as f32 / 96.0).max(1.0);
            let share = agreement(&found, &expected, pixels);
            println!("{model} {h}x{w}: {} boxes, {:.0} % agree", expected.len(), share * 100.0);
            boxes += expected.len();
            worst = worst.min(share);
        }
        assert!(boxes > 20, "{model} finds nothing: {boxes}");
        assert!(worst >= 0.9, "{model}: {worst}");
    }
}

#[test]
fn a_batch_is_its_images_one_by_one() {
    for (model, fit) in MODELS {
        let meta = detector_meta(model, fit, &[("box_score_thresh", json!(0.05))]);
        let (_folder, checkpoint) = checkpoint(&meta);
        let [mut whole, mut fitted] = [Form::Whole, Form::Prepared].map(|form| open(&checkpoint, form));
        let images = picture("batch", 5, 71, 97);
        let batches: &[usize] = if model == "yolov5" { &[1, 2, 5] } else { &[2] };
        for &n in batches {
            let together = whole.detect(images.slice(s![..n, .., .., ..]), None, &NONE).unwrap();
            for (i, found) in together.iter().enumerate() {
                let alone = whole.detect(images.slice(s![i..=i, .., .., ..]), None, &NONE).unwrap().remove(0);
                assert!(agreement(found, &alone, 0.01) == 1.0, "{model}, {n} images, image {i}");
            }
            // Images of several sizes that share a frame.
            let sizes: Vec<(usize, usize)> = (0..n).map(|i| (50 + i, 90)).collect();
            let p = &meta.preprocessing;
            let pictures: Vec<Rgb> = sizes.iter().map(|&(h, w)| rgb(&picture(&format!("{h}"), 1, h, w))).collect();
            let frames: Vec<Rgb> = pictures.iter().map(|picture| host::prepare(picture, p)).collect();
            let (h, w) = (frames[0].height, frames[0].width);
            assert!(frames.iter().all(|f| (f.height, f.width) == (h, w)));
            let data = frames.iter().flat_map(|f| f.data.clone()).collect();
            let batch = Array4::from_shape_vec((n, h as usize, w as usize, 3), data).unwrap();
            let sizes: Vec<[i64; 2]> = sizes.iter().map(|&(h, w)| [h as i64, w as i64]).collect();
            let together = fitted.detect(batch.view(), Some(&sizes), &NONE).unwrap();
            for (i, found) in together.iter().enumerate() {
                let alone = prepared(&mut fitted, &pictures[i], &NONE);
                assert!(agreement(found, &alone, 0.01) == 1.0, "{model}, {n} prepared images, image {i}");
            }
        }
    }
}

#[test]
fn thresholds_come_from_the_settings_and_may_be_overridden() {
    let settings =
        [("box_score_thresh", json!(0.25)), ("box_nms_thresh", json!(0.6)), ("box_detections_per_img", json!(7))];
    let (_folder, checkpoint) = checkpoint(&detector_meta("yolov5", LETTERBOX, &settings));
    let mut model = open(&checkpoint, Form::Whole);
    let image = picture("thresholds", 1, 120, 90);
    let mut run = |score: Option<f32>, iou: Option<f32>| {
        let overrides = Overrides { score_threshold: score, iou_threshold: iou };
        model.detect(image.view(), None, &overrides).unwrap().remove(0)
    };
    let default = run(None, None);
    assert_eq!(default, run(Some(0.25), Some(0.6)));
    assert!(run(Some(1.0), None).is_empty());
    let all = run(Some(0.0), None);
    assert_eq!(all.len(), 7);
    let least = all[3].score;
    assert_eq!(run(Some(least), None), all[..3], "scores must be above the threshold");
    assert_ne!(run(Some(0.0), Some(0.05)), run(Some(0.0), Some(1.0)));
}

#[test]
fn files_are_repeatable_and_hold_nothing_unneeded() {
    for (model, fit) in MODELS {
        let tiles = [("tile_grid_size", json!("2x2"))];
        let meta = detector_meta(model, fit, &tiles);
        let (_folder, checkpoint) = checkpoint(&meta);
        for form in [Form::Whole, Form::Prepared] {
            assert!(bytes(&checkpoint, form) == bytes(&checkpoint, form), "{model} {form}");
            let built = graph(&checkpoint, form).unwrap();
            let mut pruned = built.clone();
            pruned.prune();
            assert!(pruned == built);
            let text = dump::dump(&built);
            let named = |op: &str| text.lines().filter(|l| l.contains(&format!(" = {op}("))).count();
            println!("{model} {form}: {} lines, Scan {}", text.lines().count(), named("Scan"));
            assert_eq!(named("Scan"), usize::from(form == Form::Whole));
            assert_eq!(named("Identity"), 0);
            assert_eq!(text.matches("optional input").count(), 2);
            let spec = models::registry::described(&meta).unwrap();
            assert!(built.parameters() >= spec.manifest(3, 96).unwrap().parameters());
        }
    }
}

/// The host's answer with tiles: each is prepared and looked at on its own.
fn tiled(model: &mut Model, image: &Rgb, grid: TileGrid, overlap: f64) -> Vec<Detection> {
    let whole = prepared(model, image, &NONE);
    let look = |tile: Tile| {
        let mut found = prepared(model, &host::cut(image, tile), &NONE);
        host::shift(&mut found, tile);
        (tile, found)
    };
    let tiles: Vec<_> = host::tiles(image.width, image.height, grid, overlap).into_iter().map(look).collect();
    let rule = MergeRule::CutLast;
    host::merge(&whole, &tiles, &Merge { width: image.width, height: image.height, threshold: 0.25, limit: 100, rule })
}

/// A resized pixel may differ by one step from the host's. Of a generated R-CNN or RetinaNet that moves many boxes, of the
/// generated YOLOv5 hardly any.
#[test]
fn tiles_are_looked_at_and_merged_as_on_the_host() {
    let sizes = [(1, 1), (128, 191), (301, 97)];
    let [(yolo, letterbox), (rcnn, shorter), (retina, _)] = MODELS;
    let cases = [
        (yolo, letterbox, (2, 2), &sizes[..], 0.95),
        (yolo, letterbox, (3, 2), &sizes[..], 0.95),
        (rcnn, shorter, (2, 2), &sizes[1..2], 0.5),
        (retina, shorter, (2, 1), &sizes[1..2], 0.5),
    ];
    for (model, fit, (columns, rows), sizes, least) in cases {
        let grid = TileGrid { columns, rows };
        let settings = [("box_score_thresh", json!(0.05)), ("tile_grid_size", json!(grid.to_string()))];
        let (_folder, checkpoint) = checkpoint(&detector_meta(model, fit, &settings));
        let [mut whole, mut fitted] = [Form::Whole, Form::Prepared].map(|form| open(&checkpoint, form));
        for &(h, w) in sizes {
            let images = picture(&format!("{h}x{w}"), 2, h, w);
            let found = whole.detect(images.view(), None, &NONE).unwrap();
            for (i, found) in found.iter().enumerate() {
                let image = rgb(&images.slice(s![i..=i, .., .., ..]).to_owned());
                let expected = tiled(&mut fitted, &image, grid, 0.25);
                sound(found, (h, w), 3);
                let share = agreement(found, &expected, 0.5 * (h.max(w) as f32 / 96.0).max(1.0));
                println!("{model} {grid} {h}x{w}: {} boxes, {:.0} % agree", expected.len(), share * 100.0);
                assert!(share >= least, "{model} {grid} {h}x{w}: {share}");
            }
        }
    }
}

/// An image that is its own prepared form, so that both forms see the very same pixels.
#[test]
fn the_same_pixels_get_the_same_answer() {
    let meta = detector_meta("yolov5", LETTERBOX, &[("box_score_thresh", json!(0.01))]);
    let (_folder, checkpoint) = checkpoint(&meta);
    let [mut whole, mut fitted] = [Form::Whole, Form::Prepared].map(|form| open(&checkpoint, form));
    let image = picture("a", 1, 96, 64);
    let place = Placement::of(64, 96, &LETTERBOX);
    assert_eq!((place.width, place.height, place.inner_width, place.inner_height), (64, 96, 64, 96));
    let found = whole.detect(image.view(), None, &NONE).unwrap();
    let expected = fitted.detect(image.view(), Some(&[[96, 64]]), &NONE).unwrap();
    assert!(found[0].len() > 5 && agreement(&found[0], &expected[0], 1e-3) == 1.0, "{found:?} {expected:?}");
}
