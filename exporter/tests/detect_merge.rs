//! The merge of tiles in a graph against the host's: the same answer, number by number.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod support;

use exporter::builder::Builder;
use exporter::graph::Dim;
use models::detect::{Detections, tiling};
use models::host::{self, Detection, MergeRule, Tile};
use models::ops::DType;
use ndarray::{Array3, Array4, arr2};
use ort::session::Session;
use ort::value::TensorRef;
use schemas::setting::TileGrid;
use support::{finished, nothing, session, uniform};

const IMAGES: usize = 3;
const THRESHOLD: f32 = 0.25;
const SIZE: (u32, u32) = (200, 120);

/// Boxes of a source, and of the answer, at most.
#[derive(Clone, Copy)]
struct Most {
    each: usize,
    cap: usize,
}

fn merger(sources: usize, most: Most) -> Session {
    let none = nothing();
    let b = Builder::new(&none);
    let lead = [Dim::Fixed(sources as i64), Dim::Named("N"), Dim::Fixed(most.each as i64)];
    let places = b.input("places", DType::I64, &[Dim::Fixed(sources as i64), Dim::Fixed(4)], "");
    let found = Detections {
        boxes: b.input("boxes", DType::F32, &[lead.as_slice(), &[Dim::Fixed(4)]].concat(), ""),
        scores: b.input("scores", DType::F32, &lead, ""),
        labels: b.input("labels", DType::I64, &lead, ""),
        masks: None,
    };
    let how =
        tiling::Merge { sources: sources as i64, each: most.each as i64, threshold: THRESHOLD, cap: most.cap as i64 };
    let merged = tiling::merge(&b, &tiling::Sources { places, found }, &how);
    let (n, d) = (Dim::Named("N"), Dim::Named("D"));
    b.output(&merged.boxes, "out_boxes", &[n.clone(), d.clone(), Dim::Fixed(4)], "");
    b.output(&merged.scores, "out_scores", &[n.clone(), d.clone()], "");
    b.output(&merged.labels, "out_labels", &[n, d], "");
    session(finished(b))
}

/// Boxes in a tile, by falling score, many of them near its borders and near each other.
fn found(seed: &str, tile: &Tile, count: usize, each: usize) -> Vec<Detection> {
    let u = uniform(seed, 6 * count);
    let one = |i: usize| {
        let v = &u[6 * i..6 * i + 6];
        let along = |from: u32, to: u32, at: f32, size: f32| {
            let (from, to) = (from as f32, to as f32);
            // Coarse steps: boxes of different tiles coincide, and touch borders.
            let length = 4.0 * (1.0 + (size * 9.0).floor());
            let start = from + 4.0 * (at * (to - from) / 4.0).floor();
            (start, (start + length).min(to))
        };
        let (x1, x2) = along(tile.x0, tile.x1, v[0], v[1]);
        let (y1, y2) = along(tile.y0, tile.y1, v[2], v[3]);
        // Scores of different sources are often equal, those of one source never.
        let score = 1.0 - (i as f32 + (v[4] * 3.0).floor() / 4.0) / (each as f32 + 2.0);
        Detection { corners: [x1, y1, x2, y2], score, label: usize::from(v[5] > 0.7), mask: None }
    };
    (0..count).map(one).collect()
}

#[test]
fn the_graph_merges_as_the_host_does() {
    compare(&[(2, 1), (2, 2), (3, 2)], Most { each: 12, cap: 9 }, 60);
}

/// As many as a detector of 300 boxes an image may find with a grid of 2 x 2.
#[test]
fn many_boxes_are_merged_as_on_the_host() {
    compare(&[(2, 2)], Most { each: 300, cap: 300 }, 4);
}

fn compare(grids: &[(u32, u32)], most: Most, trials: usize) {
    let Most { each, cap } = most;
    let mut dropped = 0;
    for &(columns, rows) in grids {
        let grid = TileGrid { columns, rows };
        let whole = Tile { x0: 0, y0: 0, x1: SIZE.0, y1: SIZE.1 };
        let tiles: Vec<Tile> = std::iter::once(whole).chain(host::tiles(SIZE.0, SIZE.1, grid, 0.25)).collect();
        let mut session = merger(tiles.len(), most);
        for trial in 0..trials {
            let of = |s: usize, n: usize| {
                let seed = format!("{columns}x{rows} {trial} {s} {n}");
                let count = match trial {
                    0 => 0,
                    1 => each,
                    _ => (uniform(&format!("count {seed}"), 1)[0] * (each as f32 + 0.99)) as usize,
                };
                found(&seed, &tiles[s], count, each)
            };
            let all: Vec<Vec<Vec<Detection>>> =
                (0..tiles.len()).map(|s| (0..IMAGES).map(|n| of(s, n)).collect()).collect();
            let shape = (tiles.len(), IMAGES, each);
            let at = |s: usize, n: usize, d: usize| all[s][n].get(d);
            let boxes = Array4::from_shape_fn((shape.0, shape.1, shape.2, 4), |(s, n, d, k)| {
                at(s, n, d).map_or(7.0, |one| one.corners[k])
            });
            let scores = Array3::from_shape_fn(shape, |(s, n, d)| at(s, n, d).map_or(0.0, |one| one.score));
            let labels = Array3::from_shape_fn(shape, |(s, n, d)| at(s, n, d).map_or(-1, |one| one.label as i64));
            let places: Vec<[i64; 4]> = tiles.iter().map(|t| [t.y0, t.x0, t.y1, t.x1].map(i64::from)).collect();
            let outputs = session
                .run(ort::inputs![
                    "places" => TensorRef::from_array_view(arr2(&places).view()).unwrap(),
                    "boxes" => TensorRef::from_array_view(boxes.view()).unwrap(),
                    "scores" => TensorRef::from_array_view(scores.view()).unwrap(),
                    "labels" => TensorRef::from_array_view(labels.view()).unwrap()
                ])
                .unwrap();
            let boxes = outputs["out_boxes"].try_extract_array::<f32>().unwrap();
            let scores = outputs["out_scores"].try_extract_array::<f32>().unwrap();
            let labels = outputs["out_labels"].try_extract_array::<i64>().unwrap();
            for n in 0..IMAGES {
                let sources: Vec<(Tile, Vec<Detection>)> =
                    (1..tiles.len()).map(|s| (tiles[s], all[s][n].clone())).collect();
                let how = host::Merge {
                    width: SIZE.0,
                    height: SIZE.1,
                    threshold: THRESHOLD,
                    limit: cap,
                    rule: MergeRule::CutLast,
                };
                let expected = host::merge(&all[0][n], &sources, &how);
                let rows = labels.shape()[1];
                let real = (0..rows).filter(|&d| labels[[n, d]] >= 0).count();
                let answer: Vec<Detection> = (0..real)
                    .map(|d| Detection {
                        corners: [0, 1, 2, 3].map(|k| boxes[[n, d, k]]),
                        score: scores[[n, d]],
                        label: labels[[n, d]] as usize,
                        mask: None,
                    })
                    .collect();
                assert_eq!(answer, expected, "{columns}x{rows}, trial {trial}, image {n}");
                assert!((real..rows).all(|d| labels[[n, d]] == -1 && scores[[n, d]] == 0.0));
                let given: usize = all.iter().map(|source| source[n].len()).sum();
                let all_kept = host::merge(&all[0][n], &sources, &host::Merge { limit: usize::MAX, ..how });
                dropped += given - all_kept.len();
            }
        }
    }
    assert!(dropped > 0, "nothing was ever dropped");
}
