//! What `whole` detectors do to images before the network sees them, against the host's own code.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod support;

use exporter::builder::{Builder, Value};
use exporter::graph::{Dim, Graph};
use exporter::preprocess::{frame, places};
use models::host::{self, Rgb};
use models::ops::DType;
use ndarray::{Array2, Array4, s};
use ort::session::Session;
use ort::value::TensorRef;
use schemas::prediction::Tiling;
use schemas::setting::TileGrid;
use schemas::{Fit, Interpolation, Preprocessing};
use support::{finished, nothing, picture, session};

const LETTERBOX: Fit = Fit::Letterbox { side: 96 };
const SHORTER: Fit = Fit::Shorter { min_size: 60, max_size: 133 };
/// Height and width: a point, extreme ratios, odd, larger than the limit, equal to the network's input.
const SIZES: [(usize, usize); 9] =
    [(1, 1), (17, 900), (900, 17), (641, 479), (1333, 200), (96, 96), (64, 128), (37, 59), (33, 97)];

fn preprocessing(fit: Fit) -> Preprocessing {
    let (mean, std) = ([123.675, 116.28, 103.53], [1.0; 3]);
    Preprocessing { fit, interpolation: Interpolation::Bilinear, mean, std }
}

fn graph(of: impl Fn(&Builder, &Value) -> Value) -> Graph {
    let none = nothing();
    let b = Builder::new(&none);
    let dims = [Dim::Named("N"), Dim::Named("H"), Dim::Named("W"), Dim::Fixed(3)];
    let images = b.input("images", DType::U8, &dims, "");
    let y = of(&b, &images);
    let dims: Vec<Dim> = ["a", "b", "c", "d"].into_iter().take(y.dims().len()).map(Dim::Named).collect();
    b.output(&y, "y", &dims, "");
    finished(b)
}

fn run(session: &mut Session, images: &Array4<u8>) -> Array4<u8> {
    let outputs = session.run(ort::inputs!["images" => TensorRef::from_array_view(images.view()).unwrap()]).unwrap();
    outputs["y"].try_extract_array::<u8>().unwrap().to_owned().into_dimensionality().unwrap()
}

fn rgb(image: &Array4<u8>) -> Rgb {
    let (_, h, w, _) = image.dim();
    Rgb { width: w as u32, height: h as u32, data: image.iter().copied().collect() }
}

#[test]
fn images_lie_in_their_frame_as_the_host_puts_them() {
    for fit in [LETTERBOX, SHORTER] {
        let p = preprocessing(fit);
        let mut session = session(graph(|b, images| frame(b, images, &p)));
        for (h, w) in SIZES {
            let image = picture(&format!("{h}x{w}"), 1, h, w);
            let host = host::prepare(&rgb(&image), &p);
            let found = run(&mut session, &image);
            assert_eq!(found.shape(), [1, host.height as usize, host.width as usize, 3], "{fit:?} {h}x{w}");
            let differences: Vec<u8> = found.iter().zip(&host.data).map(|(a, b)| a.abs_diff(*b)).collect();
            let equal = differences.iter().filter(|&&d| d == 0).count() as f64 / differences.len() as f64;
            let largest = differences.iter().copied().max().unwrap();
            println!("{fit:?} {h}x{w}: {:.2} % equal, largest difference {largest}", equal * 100.0);
            assert!(equal >= 0.95 && largest <= 2, "{fit:?} {h}x{w}: {equal} equal, largest difference {largest}");
        }
    }
}

#[test]
fn images_of_a_batch_do_not_touch_each_other_and_there_may_be_none() {
    for fit in [LETTERBOX, SHORTER] {
        let p = preprocessing(fit);
        let mut session = session(graph(|b, images| frame(b, images, &p)));
        let images = picture("batch", 5, 41, 77);
        let together = run(&mut session, &images);
        for i in 0..5 {
            let alone = run(&mut session, &images.slice(s![i..=i, .., .., ..]).to_owned());
            assert_eq!(together.slice(s![i..=i, .., .., ..]), alone);
        }
        let (_, h, w, _) = together.dim();
        assert_eq!(run(&mut session, &Array4::zeros((0, 41, 77, 3))).dim(), (0, h, w, 3));
    }
}

fn host_places(width: u32, height: u32, t: &Tiling) -> Vec<[i64; 4]> {
    let whole = host::Tile { x0: 0, y0: 0, x1: width, y1: height };
    std::iter::once(whole)
        .chain(host::tiles(width, height, t.grid, t.overlap))
        .map(|t| [t.y0, t.x0, t.y1, t.x1].map(i64::from))
        .collect()
}

/// An image's rows and columns are cut by the same rule, so that each length is tried in both directions.
#[test]
fn tiles_lie_where_the_host_cuts_them_at_every_size() {
    let cases = [((3, 2), 0.25), ((2, 2), 0.1), ((5, 1), 0.0), ((7, 16), 0.3), ((2, 3), 0.9), ((16, 11), 1.0 / 3.0)];
    for ((columns, rows), overlap) in cases {
        let tiling = Tiling { grid: TileGrid { columns, rows }, overlap, threshold: 0.25 };
        let mut session = session(graph(|b, images| places(b, images, &tiling)));
        for side in 1..=5000_usize {
            // No images of that size: only the size matters.
            let (h, w) = (side, 5001 - side);
            let images = Array4::<u8>::zeros((0, h, w, 3));
            let outputs =
                session.run(ort::inputs!["images" => TensorRef::from_array_view(images.view()).unwrap()]).unwrap();
            let found = outputs["y"].try_extract_array::<i64>().unwrap().to_owned();
            let found: Array2<i64> = found.into_dimensionality().unwrap();
            let expected = host_places(w as u32, h as u32, &tiling);
            assert!(found.rows().into_iter().zip(&expected).all(|(f, e)| f.to_vec() == e), "{w}x{h} {tiling:?}");
            assert_eq!(found.nrows(), expected.len());
        }
    }
}
