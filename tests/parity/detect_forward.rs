//! Detectors against torchvision and the original YOLOv5, with the parameters and inputs of
//! `scripts/oracle/detect_forward.py`; and the placement of images against the host's.

use std::collections::BTreeMap;

use models::detect::{
    Detections, Detector, Selection, View, anchors, faster_rcnn, geometry, mask_rcnn, retinanet, roi_heads, rpn, yolov5,
};
use models::host::Placement;
use models::ops::Ops as _;
use models::registry::{self, ModelSpec};
use models::scope::Scope;
use schemas::Fit;
use schemas::setting::ModelSize;
use tch::{Kind, Tensor};
use tests::fixture::{self, DetectCase};
use tests::{synthetic, synthetic_detect};
use trainer::nn::eager::{Eager, Mode, T};
use trainer::nn::params::{Layout, Params};

use crate::support::{device, floats, tensor};

/// A store with the formula's values.
fn params(spec: &ModelSpec, detector: &Detector, classes: i64, layout: Layout) -> Params {
    let manifest = spec.manifest(classes, 64).expect("a sound definition");
    let mut params = Params::init(&manifest, 0, device(), layout);
    let entries: Vec<_> = params.iter().map(|(key, p)| (key.to_owned(), p.tensor.size(), p.role)).collect();
    for (key, shape, role) in entries {
        if let Some(values) = synthetic_detect::param(detector, &key, &shape, role) {
            params.set(&key, &tensor(&values, &shape));
        }
    }
    params
}

fn inner(case: &DetectCase) -> T {
    let sizes: Vec<i64> = case.inner.iter().flatten().copied().collect();
    T::borrowed(&Tensor::from_slice(&sizes).reshape([-1, 2]).to_kind(Kind::Float).to_device(device()))
}

/// Regions whose place a formula gives, F32 `[N, 8, 4]`.
fn rois(case: &DetectCase) -> T {
    T::borrowed(&tensor(&synthetic_detect::rois(&case.input, &case.inner), &[case.shape[0], 8, 4]))
}

/// What both stages say, of pyramid `maps`.
fn two_stages(s: &Scope<Eager>, maps: &[T], case: &DetectCase, images: &T) -> Vec<(&'static str, T)> {
    let all = anchors::join(s.ops(), &rpn::heads(s, images, maps));
    let head = roi_heads::box_head(s, maps, &rois(case), case.classes);
    vec![("objectness", all.logits), ("rpn_deltas", all.deltas), ("logits", head.logits), ("deltas", head.deltas)]
}

/// The outputs that the oracle's fixture names.
fn raw(eager: &Eager, detector: &Detector, case: &DetectCase, images: &T) -> Vec<(&'static str, T)> {
    let s = Scope::root(eager);
    match detector {
        Detector::Yolov5(size) => {
            let [fine, middle, coarse] = yolov5::heads(&s, images, *size, case.classes).maps;
            vec![("map0", fine), ("map1", middle), ("map2", coarse)]
        }
        Detector::FasterRcnn(body) => two_stages(&s, &faster_rcnn::features(&s, images, body), case, images),
        Detector::MaskRcnn(body) => {
            let maps = faster_rcnn::features(&s, images, body);
            let pooled = s.ops().roi_align(&maps[..roi_heads::LEVELS], &rois(case), &mask_rcnn::align());
            let masks = mask_rcnn::head(&s, &pooled, case.classes);
            [two_stages(&s, &maps, case, images), vec![("mask_logits", masks)]].concat()
        }
        Detector::RetinaNet(body) => {
            let maps = retinanet::features(&s, images, body);
            let all = anchors::join(eager, &retinanet::heads(&s, images, &maps, case.classes));
            vec![("logits", all.logits), ("deltas", all.deltas)]
        }
    }
}

/// The detections of each image: class, score, corners.
pub fn rows(found: Detections<T>) -> Vec<Vec<[f64; 6]>> {
    let labels = found.labels.into_tensor();
    let (n, cap) = (labels.size()[0], labels.size()[1]);
    let labels = floats(&labels.to_kind(Kind::Float));
    let (scores, boxes) = (floats(&found.scores.into_tensor()), floats(&found.boxes.into_tensor()));
    let row = |i: usize| {
        let b = &boxes[i * 4..][..4];
        [labels[i], scores[i], b[0], b[1], b[2], b[3]].map(f64::from)
    };
    let cap = usize::try_from(cap).expect("a length");
    (0..usize::try_from(n).expect("a length"))
        .map(|image| {
            let all: Vec<[f64; 6]> = (0..cap).map(|i| row(image * cap + i)).collect();
            assert!(all.is_sorted_by(|a, b| a[1] >= b[1]), "scores do not descend");
            assert!(all.iter().all(|r| (r[0] < 0.0) == (r[1] == 0.0)), "padding says so twice");
            all.into_iter().filter(|r| r[0] >= 0.0).collect()
        })
        .collect()
}

/// Pairs detections up one to one; the largest differences of scores and of corners.
pub fn pair_up(what: &str, found: &[[f64; 6]], expected: &[[f64; 6]]) -> (f64, f64) {
    assert_eq!(found.len(), expected.len(), "{what}: number of detections");
    let mut rest = found.to_vec();
    let (mut scores, mut corners) = (0.0_f64, 0.0_f64);
    for e in expected {
        let apart = |f: &[f64; 6]| (2..6).map(|i| (f[i] - e[i]).abs()).fold(0.0, f64::max);
        let near = |f: &&[f64; 6]| f[0] == e[0] && (f[1] - e[1]).abs() <= 1e-4 && apart(f) <= 0.01;
        let at = rest.iter().position(|f| near(&f)).unwrap_or_else(|| panic!("{what}: nothing like {e:?} in {rest:?}"));
        let f = rest.swap_remove(at);
        scores = scores.max((f[1] - e[1]).abs());
        corners = corners.max(apart(&f));
    }
    (scores, corners)
}

fn check(spec: &'static ModelSpec, name: &str, layout: Layout) {
    let detector = spec.detector().expect("a detector");
    let (mut worst, mut scores, mut corners) = (0.0_f64, 0.0_f64, 0.0_f64);
    let mut stores: BTreeMap<i64, Params> = BTreeMap::new();
    for case in &fixture::detect_forward(name).cases {
        let params = stores.entry(case.classes).or_insert_with(|| params(spec, &detector, case.classes, layout));
        let eager = Eager::new(params, Mode::Evaluate);
        let images = T::borrowed(&tensor(&synthetic::input(&case.input, &case.shape), &case.shape));
        let outputs = tch::no_grad(|| raw(&eager, &detector, case, &images));
        assert_eq!(outputs.len(), case.raw.len(), "{name}");
        for (key, output) in outputs {
            let values = floats(&output.into_tensor());
            let found = synthetic::norm_and_probe(key, values.into_iter().map(f64::from));
            let expected = case.raw[key];
            let apart = (found[0] - expected[0]).abs().max((found[1] - expected[1]).abs()) / expected[0];
            assert!(apart <= 1e-4, "{name} {} {key}: {found:?} instead of {expected:?}", case.input);
            worst = worst.max(apart);
        }
        let one = |value: f32| T::borrowed(&tensor(&[value], &[1]));
        let selection = Selection { score: one(case.score), iou: one(case.iou), cap: case.cap };
        let predict = |images: &T, inner: &T| {
            let s = Scope::root(&eager);
            tch::no_grad(|| detector.predict(&s, &View { images, inner }, case.classes, &selection))
        };
        let found = rows(predict(&images, &inner(case)));
        assert_eq!(found.len(), case.detections.len(), "{name}: images");
        for (image, (found, expected)) in found.iter().zip(&case.detections).enumerate() {
            let what = format!("{name} {} {} classes, image {image}", case.input, case.classes);
            let (score, corner) = pair_up(&what, found, expected);
            (scores, corners) = (scores.max(score), corners.max(corner));
        }
        let nothing = |shape: &[i64]| T::borrowed(&Tensor::zeros(shape, (Kind::Float, device())));
        assert!(rows(predict(&nothing(&[0, 3, 64, 96]), &nothing(&[0, 2]))).is_empty(), "{name} of no images");
    }
    println!(
        "{name:26} {layout:?}: raw within {worst:.1e}, scores within {scores:.1e}, corners within {corners:.1e} px"
    );
}

macro_rules! each_detector {
    ($($test:ident: $name:literal $(in $size:ident)?,)*) => {
        $(
            #[test]
            fn $test() {
                let spec = registry::find($name).expect("a model");
                $(let spec = spec.sized(ModelSize::$size);)?
                for layout in [Layout::Contiguous, Layout::ChannelsLast] {
                    check(spec, stringify!($test), layout);
                }
            }
        )*

        #[test]
        fn every_detector_is_listed() {
            let listed = [$($name),*];
            let detectors = registry::all().iter().filter(|m| m.detector().is_some());
            assert!(detectors.map(|m| m.name).all(|name| listed.contains(&name)));
        }
    };
}

each_detector! {
    yolov5_nano: "yolov5" in Nano,
    yolov5_small: "yolov5" in Small,
    yolov5_medium: "yolov5" in Medium,
    yolov5_large: "yolov5" in Large,
    yolov5_xlarge: "yolov5" in Xlarge,
    fasterrcnn_resnet18_fpn: "fasterrcnn_resnet18_fpn",
    fasterrcnn_resnet34_fpn: "fasterrcnn_resnet34_fpn",
    fasterrcnn_resnet50_fpn: "fasterrcnn_resnet50_fpn",
    fasterrcnn_resnet101_fpn: "fasterrcnn_resnet101_fpn",
    fasterrcnn_resnet152_fpn: "fasterrcnn_resnet152_fpn",
    retinanet_resnet50_fpn: "retinanet_resnet50_fpn",
    maskrcnn_resnet18_fpn: "maskrcnn_resnet18_fpn",
    maskrcnn_resnet34_fpn: "maskrcnn_resnet34_fpn",
    maskrcnn_resnet50_fpn: "maskrcnn_resnet50_fpn",
    maskrcnn_resnet101_fpn: "maskrcnn_resnet101_fpn",
    maskrcnn_resnet152_fpn: "maskrcnn_resnet152_fpn",
}

#[test]
fn images_lie_where_the_host_puts_them() {
    let params = Params::init(&models::manifest::Manifest::default(), 0, device(), Layout::Contiguous);
    let eager = Eager::new(&params, Mode::Evaluate);
    let mut sizes: Vec<[i64; 2]> = vec![[1, 1], [1, 10_000], [10_000, 1], [333, 500], [640, 640], [4000, 1000]];
    let odd = synthetic::uniform("sizes", 400).map(|u| 1 + (u * u * 5000.0) as i64).collect::<Vec<_>>();
    sizes.extend(odd.chunks_exact(2).map(|pair| [pair[0], pair[1]]));
    let flat: Vec<i64> = sizes.iter().flatten().copied().collect();
    let values = T::borrowed(&Tensor::from_slice(&flat).reshape([-1, 2]).to_device(device()));
    let corners = [-3.0_f32, 2.5, 61.25, 5000.0];
    let boxes = tensor(&corners, &[1, 1, 4]).repeat([sizes.len() as i64, 1, 1]);
    for fit in [
        Fit::Letterbox { side: 640 },
        Fit::Letterbox { side: 96 },
        Fit::Shorter { min_size: 600, max_size: 1333 },
        Fit::Shorter { min_size: 37, max_size: 41 },
        Fit::Crop { resize: 73, crop: 64 },
    ] {
        let place = geometry::placement(&eager, &values, &fit);
        let back = floats(&geometry::to_original(&eager, &T::borrowed(&boxes), &place, &values).into_tensor());
        let whole = |t: T| Vec::<i64>::try_from(&t.into_tensor().expand([sizes.len() as i64, 2], false).reshape([-1]));
        let (inner, offset) = (whole(place.inner).expect("integers"), whole(place.offset).expect("integers"));
        for (i, [height, width]) in sizes.iter().enumerate() {
            let (w, h) = (u32::try_from(*width).expect("a side"), u32::try_from(*height).expect("a side"));
            let host = Placement::of(w, h, &fit);
            let found = ([inner[2 * i], inner[2 * i + 1]], [offset[2 * i], offset[2 * i + 1]]);
            let expected = ([host.inner_height.into(), host.inner_width.into()], [host.top, host.left]);
            assert_eq!(found, expected, "{fit:?} {width}x{height}");
            for (a, e) in back[4 * i..][..4].iter().zip(host.back(corners.map(f64::from), w, h)) {
                assert!((f64::from(*a) - e).abs() <= 1e-6 * e.abs().max(100.0), "{fit:?} {width}x{height}: {a} {e}");
            }
        }
    }
}
