//! Resampling and preparation, bit for bit.

use models::host::{Region, Resizer, Rgb, crop_resize, flip_horizontal, prepare, prepared_size, resize, thumbnail};
use proptest::prelude::*;
use schemas::preprocessing::{Fit, Interpolation, Preprocessing};
use serde_json::Value;

use super::{crc, filter, noise, number, source, table, whole};

fn region(case: &Value) -> Region {
    let edge = |index: usize| number(&case["box"][index]);
    Region { x0: edge(0), y0: edge(1), x1: edge(2), y1: edge(3) }
}

fn plan(resize: u32, crop: u32, interpolation: Interpolation) -> Preprocessing {
    Preprocessing { fit: Fit::Crop { resize, crop }, interpolation, mean: [0.0; 3], std: [1.0; 3] }
}

/// The values of `image` in a window, cut the slow way.
fn cut(image: &Rgb, left: u32, top: u32, width: u32, height: u32) -> Rgb {
    let pixel = |x: u32, y: u32| {
        let at = (y * image.width + x) as usize * 3;
        &image.data[at..at + 3]
    };
    Rgb {
        width,
        height,
        data: (top..top + height).flat_map(|y| (left..left + width).flat_map(move |x| pixel(x, y))).copied().collect(),
    }
}

#[test]
fn resize_equals_pillow() {
    let cases = table("resize.json");
    assert!(cases.len() > 100);
    let mut resizer = Resizer::default();
    for case in cases {
        let (width, height) = (whole(&case["target"][0]), whole(&case["target"][1]));
        let image = source(&case);
        let out = resize(&image, region(&case), width, height, filter(&case));
        assert_eq!((out.width, out.height), (width, height), "{case}");
        let first: Vec<u32> = out.data[..3].iter().copied().map(u32::from).collect();
        let expected: Vec<u32> = case["first"].as_array().expect("three values").iter().map(whole).collect();
        assert_eq!(first, expected, "first pixel of {case}");
        assert_eq!(crc(&out), case["crc"].as_u64().expect("a checksum"), "{case}");
        assert_eq!(resizer.resize(&image, region(&case), width, height, filter(&case)), out, "reused buffers, {case}");
    }
}

#[test]
fn prepare_equals_torchvision() {
    let cases = table("prepare.json");
    assert!(cases.len() > 100);
    for case in cases {
        let out = prepare(&source(&case), &plan(whole(&case["resize"]), whole(&case["crop"]), filter(&case)));
        assert_eq!(crc(&out), case["crc"].as_u64().expect("a checksum"), "{case}");
    }
}

#[test]
fn crop_resize_equals_torchvision() {
    let cases = table("crop.json");
    assert!(cases.len() > 20);
    for case in cases {
        let (width, height) = (whole(&case["target"][0]), whole(&case["target"][1]));
        let out = crop_resize(&source(&case), region(&case), width, height, filter(&case));
        assert_eq!(crc(&out), case["crc"].as_u64().expect("a checksum"), "{case}");
    }
}

#[test]
fn longer_side_rounds_down_and_is_never_lost() {
    assert_eq!(prepared_size(499, 666, 256), (256, 341));
    assert_eq!(prepared_size(666, 499, 256), (341, 256));
    assert_eq!(prepared_size(10, 10, 7), (7, 7));
    assert_eq!(prepared_size(1, 4_000_000_000, 256), (256, u32::MAX));
    assert_eq!(prepared_size(3, 5, 0), (1, 1));
}

#[test]
fn regions_outside_the_image_or_without_sense_are_moved_inside() {
    let image = noise(9, 7, 1);
    let edges = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -3.0, 0.0, 4.5, 9.0, 1e300];
    for x0 in edges {
        for x1 in edges {
            let region = Region { x0, y0: x1, x1, y1: x0 };
            for filter in [Interpolation::Bilinear, Interpolation::Bicubic] {
                assert_eq!(resize(&image, region, 4, 5, filter).data.len(), 60);
                assert_eq!(crop_resize(&image, region, 4, 5, filter).data.len(), 60);
            }
        }
    }
    let whole = Region::whole(&image);
    let larger = Region { x0: -10.0, y0: f64::NAN, x1: 1e9, y1: f64::INFINITY };
    let filter = Interpolation::Bicubic;
    assert_eq!(resize(&image, larger, 5, 5, filter), resize(&image, whole, 5, 5, filter));
    assert_eq!(resize(&image, whole, 0, 0, filter).data.len(), 3);
}

#[test]
fn a_long_strip_costs_only_its_crop() {
    // In full, the resized strip would have 224 x 3.6 million pixels.
    let strip = noise(1, 16384, 3);
    let out = prepare(&strip, &plan(224, 224, Interpolation::Bicubic));
    assert_eq!((out.width, out.height), (224, 224));
}

#[test]
fn thumbnails_keep_proportions() {
    let size = |width, height, side| {
        let out = thumbnail(&noise(width, height, 0), side);
        (out.width, out.height)
    };
    assert_eq!(size(300, 200, 150), (150, 100));
    assert_eq!(size(1000, 1, 100), (100, 1));
    assert_eq!(size(50, 70, 0), (1, 1));
    assert_eq!(thumbnail(&noise(8, 9, 4), 9), noise(8, 9, 4));
}

#[test]
fn flipping_moves_whole_pixels() {
    let mut image = Rgb { width: 3, height: 2, data: (0..18).collect() };
    flip_horizontal(&mut image);
    assert_eq!(image.data, [6, 7, 8, 3, 4, 5, 0, 1, 2, 15, 16, 17, 12, 13, 14, 9, 10, 11]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn resize_gives_the_asked_size(
        (w, h, seed) in (1u32..64, 1u32..64, 0u32..100),
        (ow, oh) in (1u32..64, 1u32..64),
        edges in proptest::array::uniform4(-5.0f64..70.0),
        cubic in any::<bool>(),
    ) {
        let filter = if cubic { Interpolation::Bicubic } else { Interpolation::Bilinear };
        let [x0, y0, x1, y1] = edges;
        let out = resize(&noise(w, h, seed), Region { x0, y0, x1, y1 }, ow, oh, filter);
        prop_assert_eq!((out.width, out.height, out.data.len()), (ow, oh, (ow * oh * 3) as usize));
    }

    #[test]
    fn an_even_colour_stays(colour in any::<[u8; 3]>(), (w, h) in (1u32..64, 1u32..64), (ow, oh) in (1u32..64, 1u32..64)) {
        let image = Rgb::filled(w, h, colour);
        for filter in [Interpolation::Bilinear, Interpolation::Bicubic] {
            prop_assert_eq!(resize(&image, Region::whole(&image), ow, oh, filter), Rgb::filled(ow, oh, colour));
        }
    }

    #[test]
    fn prepare_gives_the_crop_of_the_full_resize(
        (w, h, seed) in (1u32..64, 1u32..64, 0u32..100),
        resize_to in 1u32..80,
        less in 0u32..80,
        cubic in any::<bool>(),
    ) {
        let filter = if cubic { Interpolation::Bicubic } else { Interpolation::Bilinear };
        let crop = resize_to.saturating_sub(less).max(1);
        let image = noise(w, h, seed);
        let out = prepare(&image, &plan(resize_to, crop, filter));
        prop_assert_eq!((out.width, out.height), (crop, crop));

        let (fw, fh) = prepared_size(w, h, resize_to);
        let full = resize(&image, Region::whole(&image), fw, fh, filter);
        let offset = |full: u32| (f64::from(full - crop) / 2.0).round_ties_even() as u32;
        prop_assert_eq!(out, cut(&full, offset(fw), offset(fh), crop, crop));
    }

    #[test]
    fn prepare_pads_to_the_crop((w, h) in (1u32..64, 1u32..64), resize_to in 0u32..40, crop in 0u32..80) {
        let out = prepare(&noise(w, h, 5), &plan(resize_to, crop, Interpolation::Bilinear));
        prop_assert_eq!((out.width, out.height), (crop.max(1), crop.max(1)));
    }
}
