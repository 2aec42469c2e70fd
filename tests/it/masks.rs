//! Masks as `examples/python/segment.py` pastes them, which `scripts/examples` runs, and as Fovea's programs do.

use std::path::{Path, PathBuf};

use models::host::mask::Paste;
use models::host::{Limits, Rgb, decode};
use ndarray::ArrayView4;
use runtime::{Model, Options, Overrides};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../server/tests/fixtures").join(name)
}

/// The numbers that `scripts/examples` expects of the example.
#[test]
fn masks_pasted_by_the_example_have_the_pixels_of_fovea() {
    let options = Options { intra_threads: 1, library: None };
    let mut model = Model::open(&fixture("tiny_masks_whole.onnx"), &options).expect("the network");
    let plain = Rgb { width: 640, height: 480, data: [250, 200, 100].repeat(640 * 480) };
    let rotated = std::fs::read(fixture("rotated.jpg")).expect("a file");
    let rotated = decode(&rotated, &Limits::default()).expect("an image");
    for (image, expected) in [(plain, [24_880, 43_700, 9892, 124_063]), (rotated, [42, 18, 153, 68])] {
        let Rgb { width, height, .. } = image;
        let shape = (1, height as usize, width as usize, 3);
        let pixels = ArrayView4::from_shape(shape, &image.data).expect("a whole image");
        let least = Overrides { score_threshold: Some(0.1), iou_threshold: None };
        let found = model.detect(pixels, None, &least).expect("objects").remove(0);
        let paste = Paste { width, height, threshold: 0.5 };
        let area = |one: &schemas::prediction::Detection| {
            paste.mask(one.mask.as_ref().expect("a mask").values(), one.corners).area()
        };
        assert_eq!(found.iter().map(area).collect::<Vec<_>>(), expected);
    }
}
