//! The example that users copy, `examples/rust/classify.rs`, on a network whose answers can be worked out by hand.

use std::path::{Path, PathBuf};

use runtime::{Model, Options};

#[expect(dead_code, reason = "its `main` is the program's")]
#[path = "../../examples/rust/classify.rs"]
mod classify;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/fixtures").join(name)
}

#[test]
fn the_example_reads_images_upright_and_names_the_most_probable_label() {
    // 24 columns and 16 rows in the file, which EXIF turns by a quarter.
    let pixels = classify::read_image(&fixture("rotated.jpg")).unwrap();
    assert_eq!(pixels.dim(), (1, 24, 16, 3));
    let mut model = Model::open(&fixture("tiny_whole.onnx"), &Options { intra_threads: 1, library: None }).unwrap();
    let probabilities = model.run(pixels.view()).unwrap();
    let (label, probability) = classify::classify(&mut model, &fixture("rotated.jpg")).unwrap();
    assert_eq!((label.as_str(), probability), ("red", probabilities[[0, 0]]));
    assert!(probability > 0.5 && (probabilities.sum() - 1.0).abs() < 1e-5, "{probabilities}");
}

#[test]
fn the_example_says_what_is_no_image() {
    assert!(classify::read_image(&fixture("tiny_whole.onnx")).is_err());
}
