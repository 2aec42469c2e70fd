//! Masks pasted in a graph against the host's: the same pixels, but where a probability is as good as the threshold.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on must stop")]

mod support;

use exporter::builder::Builder;
use exporter::graph::Dim;
use exporter::preprocess::{Canvas, paste};
use models::host::mask::Paste;
use models::ops::{DType, Ops};
use ndarray::{Array1, Array2, Array3, Array4, ArrayView3};
use ort::session::Session;
use ort::value::TensorRef;
use schemas::prediction::MASK_SIDE;
use support::{finished, nothing, session, uniform};

/// Of what the two say is the object's, a pixel may differ whose probability is as near to the threshold.
const CLOSE: f32 = 1e-5;

fn paster() -> Session {
    let none = nothing();
    let b = Builder::new(&none);
    let (n, d, side) = (Dim::Named("N"), Dim::Named("D"), Dim::Fixed(MASK_SIDE as i64));
    let boxes = b.input("boxes", DType::F32, &[n.clone(), d.clone(), Dim::Fixed(4)], "");
    let labels = b.input("labels", DType::I64, &[n.clone(), d.clone()], "");
    let masks = b.input("masks", DType::F32, &[n.clone(), d.clone(), side.clone(), side], "");
    let size = b.input("size", DType::I64, &[Dim::Fixed(2)], "");
    let threshold = b.input("threshold", DType::F32, &[Dim::Fixed(1)], "");
    let (height, width) = (b.slice(&size, 0, 0, 1), b.slice(&size, 0, 1, 2));
    let pixels = paste(&b, &boxes, &labels, &masks, &Canvas { height, width, threshold });
    b.output(&pixels, "pixels", &[n, d, Dim::Named("H"), Dim::Named("W")], "");
    session(finished(b))
}

/// What is pasted into images of one size.
struct Case {
    boxes: Array3<f32>,
    labels: Array2<i64>,
    masks: Array4<f32>,
    size: (usize, usize),
    threshold: f32,
}

impl Case {
    fn run(&self, session: &mut Session) -> Vec<u8> {
        let size = Array1::from_vec(vec![self.size.0 as i64, self.size.1 as i64]);
        let threshold = Array1::from_vec(vec![self.threshold]);
        let (images, objects) = self.labels.dim();
        let masks = self.masks.view().into_shape_with_order((images, objects, MASK_SIDE, MASK_SIDE)).unwrap();
        let outputs = session
            .run(ort::inputs![
                "boxes" => TensorRef::from_array_view(self.boxes.view()).unwrap(),
                "labels" => TensorRef::from_array_view(self.labels.view()).unwrap(),
                "masks" => TensorRef::from_array_view(masks.view()).unwrap(),
                "size" => TensorRef::from_array_view(size.view()).unwrap(),
                "threshold" => TensorRef::from_array_view(threshold.view()).unwrap()
            ])
            .unwrap();
        let (shape, pixels) = outputs["pixels"].try_extract_tensor::<u8>().unwrap();
        assert_eq!(**shape, [images, objects, self.size.0, self.size.1].map(|length| length as i64));
        pixels.to_vec()
    }

    /// Checks every pixel; the number of those that are an object's, and of those that were too close to call.
    fn check(&self, session: &mut Session) -> (usize, usize) {
        let (height, width) = self.size;
        let host = Paste { width: width as u32, height: height as u32, threshold: self.threshold };
        let pixels = self.run(session);
        let pixels = ArrayView3::from_shape((self.labels.len(), height, width), &pixels).unwrap();
        let (mut set, mut close) = (0, 0);
        for (at, label) in self.labels.iter().enumerate() {
            let (image, object) = (at / self.labels.ncols(), at % self.labels.ncols());
            let corners = [0, 1, 2, 3].map(|k| self.boxes[[image, object, k]]);
            let mask: Vec<f32> = self.masks.slice(ndarray::s![image, object, .., ..]).iter().copied().collect();
            let (window, values) = host.probabilities(&mask, corners);
            for ((y, x), &pixel) in pixels.slice(ndarray::s![at, .., ..]).indexed_iter() {
                let (x, y) = (x as u32, y as u32);
                let inside = (window.x0..window.x1).contains(&x) && (window.y0..window.y1).contains(&y);
                let place = || ((y - window.y0) * window.width() + (x - window.x0)) as usize;
                let probability = if inside { values[place()] } else { 0.0 };
                let expected = u8::from(*label >= 0 && probability > self.threshold);
                if pixel != expected {
                    assert!(
                        (probability - self.threshold).abs() < CLOSE,
                        "{corners:?} {x} {y}: {probability}, {pixel}"
                    );
                    close += 1;
                }
                set += usize::from(pixel);
            }
        }
        (set, close)
    }
}

#[test]
fn the_graph_pastes_as_the_host_does() {
    let mut session = paster();
    let (mut set, mut close) = (0, 0);
    for trial in 0..60 {
        let u = |what: &str, n: usize| uniform(&format!("{what} {trial}"), n);
        let size = u("size", 4);
        let (height, width) = (1 + (size[0] * 90.0) as usize, 1 + (size[1] * 130.0) as usize);
        let (images, objects) = (1 + (size[2] * 2.9) as usize, 1 + (size[3] * 6.9) as usize);
        let numbers = u("boxes", images * objects * 4);
        // Within the image, beyond its edges, and outside; from less than a pixel to larger than the image; also turned around.
        let boxes = Array3::from_shape_fn((images, objects, 4), |(i, j, k)| {
            let at = |k: usize| numbers[(i * objects + j) * 4 + k];
            let length = [width, height][k % 2] as f32;
            let (start, extent) = ((at(k % 2) * 1.6 - 0.3) * length, (at(2 + k % 2) * 1.5 - 0.05) * length);
            let corner = if k < 2 { start } else { start + extent * at(k % 2) };
            // Whole and half pixels are where roundings decide.
            if trial % 2 == 0 { (corner * 2.0).round() / 2.0 } else { corner }
        });
        let labels = u("labels", images * objects);
        let labels =
            Array2::from_shape_fn((images, objects), |(i, j)| (labels[i * objects + j] * 4.0).floor() as i64 - 1);
        let values = u("masks", images * objects * MASK_SIDE * MASK_SIDE);
        let masks = Array4::from_shape_vec((images, objects, MASK_SIDE, MASK_SIDE), values).unwrap();
        let threshold = [0.5, 0.0, 0.99, 0.3][trial % 4];
        let case = Case { boxes, labels, masks, size: (height, width), threshold };
        let (more, closer) = case.check(&mut session);
        (set, close) = (set + more, close + closer);
    }
    assert!(set > 10_000 && close * 1000 < set, "{set} pixels, {close} too close to call");
}

/// Corners that no integer holds, and an image of a single pixel.
#[test]
fn far_away_corners_are_pasted_as_on_the_host() {
    let mut session = paster();
    let corners = [
        [-1e30, -1e30, 1e30, 1e30],
        [1e30, 1e30, 2e30, 2e30],
        [-3e9, -3e9, 3e9, 3e9],
        [0.0, 0.0, 0.0, 0.0],
        [0.99, 0.99, 1.0, 1.0],
        [-0.5, -0.5, 0.5, 0.5],
    ];
    let boxes = Array3::from_shape_fn((1, corners.len(), 4), |(_, j, k)| corners[j][k]);
    let labels = Array2::zeros((1, corners.len()));
    for size in [(1, 1), (3, 5)] {
        let masks = Array4::from_elem((1, corners.len(), MASK_SIDE, MASK_SIDE), 0.9);
        let case = Case { boxes: boxes.clone(), labels: labels.clone(), masks, size, threshold: 0.5 };
        assert_eq!(case.check(&mut session).1, 0);
    }
}
