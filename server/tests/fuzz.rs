//! Every parser of requests, images and model files, and the arithmetic of tiles and boxes, given what was sound before it was changed:
//! none may panic. The harness is `tests/fuzzing`; `scripts/fuzz` runs more of them than the tests do, see `docs/testing.md`.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

#[path = "../../tests/fuzzing/mod.rs"]
mod fuzzing;

use std::{fs, io::Write as _, path::Path, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use clap::{Args as _, Command, FromArgMatches as _};
use flate2::{
    Compression,
    write::{GzEncoder, ZlibEncoder},
};
use fuzzing::fuzz;
use models::host::{self, Merge, MergeRule, Rgb};
use schemas::{
    prediction::{Detection, Tiling},
    setting::TileGrid,
};
use server::{
    config::{Config, Limits},
    manager::Wanted,
    providers::Providers,
    state::State,
};

/// Positions of the models.
const WHOLE: usize = 0;
const DETECTOR: usize = 1;

fn fixture(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// A server's state, with bodies of at most 1 MiB.
fn state() -> State {
    let options = Limits::augment_args(Command::new("server").no_binary_name(true));
    let mut limits =
        Limits::from_arg_matches(&options.get_matches_from(["--max-body", "1", "--memory", "64"])).unwrap();
    limits.max_images = 4;
    let models = [("whole", "tiny_whole.onnx"), ("d", "tiny_detector_prepared.onnx")];
    let config = Config {
        wanted: Wanted {
            files: models.map(|(name, file)| (name.to_owned(), fixture(file))).to_vec(),
            ..Wanted::default()
        },
        grpc: None,
        bind: String::new(),
        library: None,
        providers: Providers::default(),
        settings: Default::default(),
        workers: 1,
        threads: 1,
        decode_threads: 1,
        http_threads: 1,
        drain: Duration::ZERO,
        stop_timeout: Duration::ZERO,
        limits,
    };
    let (state, loaded) = State::start(&config).unwrap();
    loaded.blocking_recv().unwrap().unwrap();
    state
}

#[test]
fn score_json() {
    let state = state();
    let seeds: [&[u8]; 4] = [
        br#"{"image":"aGV5","model_explainability":true,"xai_parameters":{"xai_algorithm":"occlusion","n_steps":50}}"#,
        br#"{"input_data":{"columns":["image"],"index":[0,1],"data":["aGV5",["aGVsbG8="]]}}"#,
        br#"{"input_data":{"columns":["image"],"data":["{\"image_base64\":\"aGV5\",\"model_explainability\":false}"]}}"#,
        br#"{"image":"aGV5","score_threshold":0.25,"iou_threshold":"0.5","tile_grid_size":"3x2","tile_overlap_ratio":0.25,"masks":"rle"}"#,
    ];
    fuzz("score", &seeds, |bytes| server::fuzz::score(&state, bytes));
    let queries: [&[u8]; 2] = [b"model=whole&filename=a%20b.jpg&masks=rle", b"score_threshold=0.5&tile_grid_size=2x2"];
    fuzz("query", &queries, |bytes| std::str::from_utf8(bytes).is_ok_and(server::fuzz::query));
}

#[test]
fn base64() {
    let state = state();
    let seeds: [&[u8]; 3] = [b"aGVsbG8gd29ybGQ=", b"aGVs\nbG8g\r\nd29y bGQ", b""];
    fuzz("base64", &seeds, |bytes| std::str::from_utf8(bytes).is_ok_and(|text| server::fuzz::base64(&state, text)));
}

#[test]
fn forms() {
    let state = state();
    let seed = b"--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.png\"\r\nContent-Type: image/png\r\n\r\nabc\r\n\
--b\r\nContent-Disposition: form-data; name=\"score_threshold\"\r\n\r\n0.5\r\n--b\r\nContent-Disposition: form-data; name=\"masks\"\r\n\r\nrle\r\n\
--b\r\nContent-Disposition: form-data; name=\"g\"; filename=\"\xe2\x82\xac.png\"\r\n\r\n\x00\xff\r\n--b--\r\n";
    fuzz("form", &[seed], |bytes| server::fuzz::form(&state, bytes, "b"));
}

#[test]
fn infer_json() {
    let state = state();
    let seeds: [&[u8]; 3] = [
        br#"{"id":"1","inputs":[{"name":"images","datatype":"UINT8","shape":[1,2,1,3],"data":[[[[1,2,3]],[[4,5,6]]]]}]}"#,
        br#"{"inputs":[{"name":"images","datatype":"BYTES","shape":[2],"data":["aGV5","aGVsbG8="]}],"parameters":{"binary_data_output":true}}"#,
        br#"{"inputs":[{"name":"images","datatype":"BYTES","shape":[1,1],"data":["aGV5"]}],"outputs":[]}"#,
    ];
    fuzz("v2", &seeds, |bytes| server::fuzz::infer(&state, WHOLE, bytes, None));
    let detector = br#"{"inputs":[{"name":"images","datatype":"UINT8","shape":[0,32,32,3],"data":[]},
{"name":"sizes","datatype":"INT64","shape":[0,2],"data":[]}],"parameters":{"score_threshold":0.5}}"#;
    fuzz("v2-sizes", &[detector], |bytes| server::fuzz::infer(&state, DETECTOR, bytes, None));
}

/// JSON, a line break and bytes: the line break is not sent.
fn split(bytes: &[u8]) -> (Vec<u8>, usize) {
    let at = bytes.iter().position(|byte| *byte == b'\n').unwrap_or(bytes.len());
    ([&bytes[..at], bytes.get(at + 1..).unwrap_or_default()].concat(), at)
}

#[test]
fn infer_bytes() {
    let state = state();
    let pixels = b"{\"inputs\":[{\"name\":\"images\",\"datatype\":\"UINT8\",\"shape\":[1,2,1,3],\"parameters\":{\"binary_data_size\":6}}]}\nabcdef";
    let files = b"{\"inputs\":[{\"name\":\"images\",\"datatype\":\"BYTES\",\"shape\":[2],\"parameters\":{\"binary_data_size\":13}}]}\n\
\x03\0\0\0abc\x02\0\0\0de";
    fuzz("v2-binary", &[pixels, files], |bytes| {
        let (body, length) = split(bytes);
        server::fuzz::infer(&state, WHOLE, &body, Some(length))
    });
}

#[test]
fn compressed_bodies() {
    let state = state();
    let content: Vec<u8> = (0..3000_u32).flat_map(|n| (n / 9).to_le_bytes()).collect();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(&content).unwrap();
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(&content).unwrap();
    fuzz("gzip", &[&gzip.finish().unwrap()], |bytes| server::fuzz::unpack(&state, bytes, true));
    fuzz("deflate", &[&zlib.finish().unwrap()], |bytes| server::fuzz::unpack(&state, bytes, false));
}

/// Looks at the structure of an image, decodes it, and fits it as a model wants it.
fn decoded(bytes: &[u8]) -> bool {
    let limits = host::Limits { max_bytes: 1 << 20, max_side: 2000, max_pixels: 1_000_000 };
    let header = host::probe(bytes, &limits);
    let Ok(Rgb { width, height, data }) = host::decode(bytes, &limits) else { return false };
    assert!(header.is_ok() && data.len() == (width * height * 3) as usize);
    true
}

#[test]
fn images() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../models/tests/fixtures/host");
    for (target, files) in [
        ("jpeg", &["baseline_420.jpg", "progressive.jpg", "restarts.jpg", "cmyk.jpg", "orientation_6.jpg"][..]),
        ("png", &["palette.png", "rgb16.png", "animated.png"]),
        ("webp", &["lossy.webp", "lossless.webp", "animated.webp"]),
        ("bmp", &["palette.bmp"]),
        ("gif", &["animated.gif"]),
        ("tiff", &["lzw.tiff", "orientation_6.tiff"]),
    ] {
        let seeds: Vec<Vec<u8>> = files.iter().map(|file| fs::read(folder.join(file)).unwrap()).collect();
        fuzz(target, &seeds.iter().map(Vec::as_slice).collect::<Vec<_>>(), decoded);
    }
}

/// The next number of a list of them, 0 at its end.
fn number(bytes: &mut &[u8]) -> u32 {
    let (first, rest) = bytes.split_first_chunk::<4>().unwrap_or((&[0; 4], &[]));
    *bytes = rest;
    u32::from_le_bytes(*first)
}

fn list(numbers: &[u32]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[test]
fn tiles() {
    fuzz("tiles", &[&list(&[640, 480, 3, 2, 1 << 30]), &list(&[1, 16_384, 16, 16, 0])], |mut bytes| {
        let [width, height] = [number(&mut bytes), number(&mut bytes)];
        let [columns, rows] = [number(&mut bytes), number(&mut bytes)].map(|n| n % TileGrid::MOST + 1);
        let overlap = f64::from(number(&mut bytes)) / f64::from(u32::MAX) * 0.999;
        let tiling = Tiling { grid: TileGrid { columns, rows }, overlap, threshold: 0.25 };
        let tiles = host::tiles(width, height, tiling.grid, tiling.overlap);
        assert_eq!(tiles.len() as u32 + 1, tiling.sources());
        let inside = |tile: &host::Tile| {
            tile.x0 < tile.x1 && tile.x1 <= width.max(1) && tile.y0 < tile.y1 && tile.y1 <= height.max(1)
        };
        assert!(tiles.iter().all(inside), "{width}x{height}, {tiling:?}: {tiles:?}");
        true
    });
}

/// Boxes of any numbers: corners, scores and thresholds are also infinite and none.
fn boxes(bytes: &mut &[u8], labels: u32) -> Vec<Detection> {
    let mut all = Vec::new();
    while bytes.len() >= 24 && all.len() < 40 {
        let corners = [(); 4].map(|()| f32::from_bits(number(bytes)));
        let (score, label) = (f32::from_bits(number(bytes)), (number(bytes) % labels) as usize);
        all.push(Detection { corners, score, label, mask: None });
    }
    all
}

#[test]
fn suppression() {
    let found = |x: f32, score: f32| [x, 1.0, x + 20.0, 30.0, score].map(f32::to_bits);
    let seed = |label: u32| {
        list(&[&found(1.0, 0.9)[..], &[label], &found(3.0, 0.8), &[label], &found(300.0, 0.7), &[1]].concat())
    };
    let odd = list(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -0.0, f32::NAN, 0.0].map(f32::to_bits));
    fuzz("nms", &[&seed(0), &seed(1), &odd], |mut bytes| {
        let found = boxes(&mut bytes, 3);
        let whole = found.len() / 2;
        let grid = TileGrid { columns: 2, rows: 1 };
        let tiles = host::tiles(640, 480, grid, 0.25)
            .into_iter()
            .map(|tile| (tile, found[whole..].to_vec()))
            .collect::<Vec<_>>();
        for rule in [MergeRule::CutLast, MergeRule::Specification] {
            let how = Merge { width: 640, height: 480, threshold: 0.5, limit: 30, rule };
            let kept = host::merge(&found[..whole], &tiles, &how);
            assert!(kept.len() <= 30 && (kept.is_empty() == found.is_empty()), "{kept:?} of {found:?}");
        }
        true
    });
}

#[test]
fn onnx_files() {
    let names = [
        "tiny_whole.onnx",
        "tiny_multilabel.onnx",
        "tiny_detector_tiled.onnx",
        "tiny_masks_whole.onnx",
        "foreign.onnx",
    ];
    let seeds = names.map(|name| fs::read(fixture(name)).unwrap());
    fuzz("onnx", &seeds.each_ref().map(Vec::as_slice), |bytes| runtime::scan::bytes(bytes).is_ok());
}

#[test]
fn images_in_requests() {
    let state = state();
    // What is taken here is decoded next.
    let png = STANDARD.encode(fs::read(fixture("animated.png")).unwrap());
    let seed = format!(r#"{{"image":"{png}"}}"#);
    fuzz("image-in-json", &[seed.as_bytes()], |bytes| server::fuzz::score(&state, bytes));
}
