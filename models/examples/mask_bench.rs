//! Times masks on one thread: `cargo run --release -p models --example mask_bench -- [MASKS.json]`.
//!
//! 100 found and 100 true objects of an image of 640 x 480 pixels. Prints milliseconds for all of them, the best of nine rounds.
//! With a file as argument it writes their run lengths there, for `scripts/bench/peers/masks.py`, which times pycocotools and
//! torchvision on the same.

use std::time::Instant;

use models::host::Tile;
use models::host::mask::{Fill, Mask, Outline, Paste, Rle};
use serde_json::json;

const WIDTH: u32 = 640;
const HEIGHT: u32 = 480;
const OBJECTS: u64 = 100;

fn main() {
    let outlines = [1, 2].map(|seed| (0..OBJECTS).map(|object| blob(seed * 1000 + object)).collect::<Vec<_>>());
    let masks = outlines.clone().map(|outlines| outlines.iter().map(filled).collect::<Vec<_>>());
    let runs = masks.clone().map(|masks| masks.iter().map(whole).collect::<Vec<_>>());
    if let Some(path) = std::env::args().nth(1) {
        let texts = runs.clone().map(|runs| runs.iter().map(Rle::text).collect::<Vec<_>>());
        let content = json!({"size": [HEIGHT, WIDTH], "found": texts[0], "truth": texts[1]});
        std::fs::write(&path, content.to_string()).expect("a file that can be written");
    }
    let area = masks[0].iter().map(Mask::area).sum::<u64>() / OBJECTS;
    let lengths = runs[0].iter().map(|rle| rle.runs().len() as u64).sum::<u64>() / OBJECTS;
    println!("{OBJECTS} x {OBJECTS} objects of {area} pixels and {lengths} runs on average, in {WIDTH}x{HEIGHT}");

    let pairs = |overlap: &dyn Fn(usize, usize) -> f64| {
        let places = 0..OBJECTS as usize;
        places
            .clone()
            .flat_map(|found| places.clone().map(move |truth| (found, truth)))
            .map(|(a, b)| overlap(a, b))
            .sum::<f64>()
    };
    time("overlaps of bits", || pairs(&|a, b| masks[0][a].overlap(&masks[1][b], false)));
    time("overlaps of run lengths", || pairs(&|a, b| runs[0][a].overlap(&runs[1][b], false).unwrap_or(f64::NAN)));
    time("bits from run lengths, overlaps of bits", || {
        let [found, truth] = runs.clone().map(|runs| runs.iter().map(Mask::from).collect::<Vec<_>>());
        pairs(&|a, b| found[a].overlap(&truth[b], false))
    });
    time("rasterise by COCO's rule", || sum(&outlines[0], |outline| filled(outline).area()));
    time("rasterise even-odd", || {
        sum(&outlines[0], |outline| outline.rasterise(Fill::EvenOdd, outline.window(WIDTH, HEIGHT)).area())
    });
    time("bits to run lengths", || sum(&masks[0], |mask| whole(mask).area()));
    time("outlines", || sum(&masks[0], |mask| mask.outline().points() as u64));
    time("outlines of 100 points", || sum(&masks[0], |mask| mask.outline().simplified(100).points() as u64));
    let probabilities: Vec<f32> = (0..28 * 28).map(|at| 1.0 - (at % 28 - 14_i32).abs() as f32 / 14.0).collect();
    let paste = Paste { width: WIDTH, height: HEIGHT, threshold: 0.5 };
    time("paste", || {
        sum(&masks[0], |mask| {
            let Tile { x0, y0, x1, y1 } = mask.bounds().expect("every object has pixels");
            paste.mask(&probabilities, [x0, y0, x1, y1].map(|corner| corner as f32)).area()
        })
    });
}

/// A round outline of 40 points whose distance from the middle varies.
fn blob(seed: u64) -> Outline {
    let mut state = seed;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as f64 / (1_u64 << 31) as f64
    };
    let (middle, size) = ([next() * f64::from(WIDTH), next() * f64::from(HEIGHT)], 20.0 + next() * 80.0);
    let point = |at: u32| {
        let (sin, cos) = (f64::from(at) * std::f64::consts::TAU / 40.0).sin_cos();
        let reach = size * (0.8 + 0.2 * next());
        let side = [f64::from(WIDTH), f64::from(HEIGHT)];
        [(middle[0] + reach * cos).clamp(0.0, side[0]), (middle[1] + reach * sin).clamp(0.0, side[1])]
    };
    Outline { rings: vec![(0..40).map(point).collect()] }
}

fn filled(outline: &Outline) -> Mask {
    outline.rasterise(Fill::Coco, outline.window(WIDTH, HEIGHT))
}

fn whole(mask: &Mask) -> Rle {
    mask.rle(WIDTH, HEIGHT).expect("a mask within the image")
}

fn sum<T>(items: &[T], mut of: impl FnMut(&T) -> u64) -> f64 {
    items.iter().map(|item| of(item) as f64).sum()
}

fn time(name: &str, mut run: impl FnMut() -> f64) {
    let (mut best, mut answer) = (f64::INFINITY, 0.0);
    for _ in 0..9 {
        let start = Instant::now();
        answer = std::hint::black_box(run());
        best = best.min(start.elapsed().as_secs_f64() * 1e3);
    }
    println!("{best:9.3} ms  {name} ({answer:.3})");
}
