//! The resize and cut inside `whole` models against the host's, pixel by pixel.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod support;

use exporter::builder::Builder;
use exporter::graph::Dim;
use exporter::preprocess::resize_and_cut;
use models::host::{Rgb, prepare};
use models::ops::DType;
use ndarray::Array4;
use ort::session::Session;
use ort::value::TensorRef;
use schemas::{Fit, Interpolation, Preprocessing};
use support::{finished, nothing, picture, session};

fn settings(resize: u32, crop: u32, interpolation: Interpolation) -> Preprocessing {
    Preprocessing { fit: Fit::Crop { resize, crop }, interpolation, mean: [0.0; 3], std: [1.0; 3] }
}

fn resizer(p: &Preprocessing) -> Session {
    let none = nothing();
    let b = Builder::new(&none);
    let dims = [Dim::Named("N"), Dim::Named("H"), Dim::Named("W"), Dim::Fixed(3)];
    let images = b.input("images", DType::U8, &dims, "");
    let y = resize_and_cut(&b, &images, p);
    b.output(&y, "y", &["a", "b", "c", "d"].map(Dim::Named), "");
    session(finished(b))
}

fn run(session: &mut Session, images: &Array4<u8>) -> Array4<u8> {
    let outputs = session.run(ort::inputs!["images" => TensorRef::from_array_view(images.view()).unwrap()]).unwrap();
    outputs["y"].try_extract_array::<u8>().unwrap().to_owned().into_dimensionality().unwrap()
}

/// Share of equal values, and the largest difference.
fn compare(session: &mut Session, p: &Preprocessing, h: usize, w: usize) -> (f64, u8) {
    let image = picture(&format!("{h}x{w}"), 1, h, w);
    let host = prepare(&Rgb { width: w as u32, height: h as u32, data: image.iter().copied().collect() }, p);
    let found = run(session, &image);
    let side = p.crop().unwrap().1 as usize;
    assert_eq!(found.shape(), [1, side, side, 3]);
    let differences: Vec<u8> = found.iter().zip(&host.data).map(|(a, b)| a.abs_diff(*b)).collect();
    let equal = differences.iter().filter(|&&d| d == 0).count();
    (equal as f64 / differences.len() as f64, differences.into_iter().max().unwrap())
}

#[test]
fn pixels_equal_the_hosts_at_odd_sizes() {
    for filter in [Interpolation::Bilinear, Interpolation::Bicubic] {
        let p = settings(256, 224, filter);
        let mut session = resizer(&p);
        for (h, w) in [
            (333, 517),
            (517, 333),
            (1080, 1920),
            (200, 201),
            (31, 57),
            (57, 31),
            (45, 1203),
            (400, 51),
            (500, 256),
            (257, 256),
            (1, 1),
            (1, 65),
            (8, 1),
            (256, 256),
            (223, 223),
        ] {
            let (equal, largest) = compare(&mut session, &p, h, w);
            println!("{filter:?} {h}x{w}: {:.2} % equal, largest difference {largest}", equal * 100.0);
            assert!(equal >= 0.99 && largest <= 2, "{filter:?} {h}x{w}: {equal} equal, largest difference {largest}");
        }
    }
}

/// Sums that end in exactly one half round either way in each pass, so an enlargement by a simple fraction (here 8/7)
/// differs more often, but never by more than one step a pass.
#[test]
fn ties_differ_by_two_steps_at_most() {
    let p = settings(256, 224, Interpolation::Bilinear);
    let (equal, largest) = compare(&mut resizer(&p), &p, 224, 224);
    assert!(equal >= 0.9 && largest <= 2, "{equal} equal, largest difference {largest}");
}

/// Very tall images are resized along their height first; the intermediate rounding then differs from the host's.
#[test]
fn very_tall_images_are_close() {
    for filter in [Interpolation::Bilinear, Interpolation::Bicubic] {
        let p = settings(256, 224, filter);
        let (equal, largest) = compare(&mut resizer(&p), &p, 1203, 45);
        println!("{filter:?} 1203x45: {:.2} % equal, largest difference {largest}", equal * 100.0);
        assert!(equal >= 0.6 && largest <= 5, "{filter:?}: {equal} equal, largest difference {largest}");
    }
}

/// Every parity of what is cut off, where rounding half to even shows.
#[test]
fn cuts_lie_where_the_hosts_do() {
    for (resize, crop) in [(64, 64), (65, 64), (66, 64), (67, 64), (68, 64), (69, 64), (71, 64), (64, 1)] {
        let p = settings(resize, crop, Interpolation::Bilinear);
        let mut session = resizer(&p);
        for (h, w) in [(67, 93), (93, 67), (64, 66), (71, 64)] {
            let (equal, largest) = compare(&mut session, &p, h, w);
            assert!(equal >= 0.95 && largest <= 2, "resize {resize} crop {crop}, {h}x{w}: {equal}, {largest}");
        }
    }
}

#[test]
fn images_of_a_batch_do_not_touch_each_other() {
    let p = settings(73, 64, Interpolation::Bicubic);
    let mut session = resizer(&p);
    let images = picture("batch", 3, 91, 140);
    let together = run(&mut session, &images);
    for i in 0..3 {
        let alone = run(&mut session, &images.slice(ndarray::s![i..=i, .., .., ..]).to_owned());
        assert_eq!(together.slice(ndarray::s![i..=i, .., .., ..]), alone);
    }
    assert_eq!(run(&mut session, &Array4::zeros((0, 20, 30, 3))).shape(), [0, 64, 64, 3]);
}

/// The longest sides that servers admit, one pixel across: gigabytes if a pass kept what the cut throws away.
#[test]
fn extreme_ratios_stay_small() {
    let p = settings(256, 224, Interpolation::Bilinear);
    let mut session = resizer(&p);
    for (h, w) in [(1, 16384), (16384, 1)] {
        assert_eq!(run(&mut session, &Array4::from_elem((1, h, w, 3), 9)), Array4::from_elem((1, 224, 224, 3), 9));
    }
}
