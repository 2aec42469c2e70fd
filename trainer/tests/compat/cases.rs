//! What is kept of each version: a run of each kind, with the smallest models and images there are.

use std::path::{Path, PathBuf};

use crate::data::Labels;

/// One run and the files that were made from it.
#[derive(Clone, Copy, Debug)]
pub struct Case {
    /// Names its folder.
    pub name: &'static str,
    /// Its data.
    pub labels: Labels,
    /// Options of `trainer train` beside those that all have.
    pub options: &'static [(&'static str, &'static str)],
    /// Options of `trainer predict`.
    pub predict: &'static [(&'static str, &'static str)],
    /// Forms of the ONNX files that are made from it.
    pub forms: &'static [&'static str],
    /// What running variances are multiplied by, so that answers depend on the image.
    pub variance: f64,
    /// A tensor without which its answers are others.
    pub telling: &'static str,
}

/// Options of `trainer train` that all cases have. One thread and single precision, so that what remains between two processors is
/// the rounding of sums.
pub const COMMON: [(&str, &str); 13] = [
    ("--training_data", "data/train.jsonl"),
    ("--validation_data", "data/validation.jsonl"),
    ("--output", "run"),
    ("--pretrained", "none"),
    ("--precision", "fp32"),
    ("--device", "cpu"),
    ("--threads", "1"),
    ("--seed", "5"),
    ("--number_of_workers", "1"),
    ("--number_of_epochs", "2"),
    ("--training_batch_size", "4"),
    ("--validation_batch_size", "4"),
    ("--learning_rate", "0.001"),
];

const BOTH: [&str; 2] = ["whole", "prepared"];

/// The classifier.
pub const CLASSIFIER: Case = Case {
    name: "classifier",
    labels: Labels::Class,
    options: &[
        ("--model_name", "mobilenetv2"),
        ("--train_crop_size", "32"),
        ("--valid_resize_size", "36"),
        ("--valid_crop_size", "32"),
    ],
    predict: &[],
    forms: &BOTH,
    variance: 0.05,
    telling: "classifier.1.weight",
};

/// Any number of labels an image.
pub const LABEL_SETS: Case = Case {
    name: "label_sets",
    labels: Labels::Set,
    options: &[
        ("--task", "image-classification-multilabel"),
        ("--model_name", "efficientnet_lite0"),
        ("--optimizer", "adamw"),
        ("--ema_decay", "0.99"),
        ("--train_crop_size", "32"),
        ("--valid_resize_size", "36"),
        ("--valid_crop_size", "32"),
    ],
    predict: &[],
    forms: &BOTH,
    variance: 0.05,
    telling: "_fc.weight",
};

/// YOLOv5.
pub const YOLOV5: Case = Case {
    name: "yolov5",
    labels: Labels::Boxes,
    options: &[
        ("--task", "image-object-detection"),
        ("--model_name", "yolov5"),
        ("--model_size", "nano"),
        ("--img_size", "64"),
        ("--box_detections_per_img", "10"),
    ],
    predict: &[("--box_score_thresh", "0.001")],
    forms: &BOTH,
    variance: 0.1,
    telling: "model.24.m.1.weight",
};

/// Faster R-CNN. Its weights are a hundred megabytes, so it is asked for no more than others leave open.
pub const FASTER_RCNN: Case = Case {
    name: "faster_rcnn",
    labels: Labels::Boxes,
    options: &[
        ("--task", "image-object-detection"),
        ("--model_name", "fasterrcnn_resnet18_fpn"),
        ("--min_size", "32"),
        ("--max_size", "64"),
        ("--box_detections_per_img", "10"),
    ],
    predict: &[("--box_score_thresh", "0.001")],
    forms: &["whole"],
    variance: 1.0,
    telling: "roi_heads.box_head.fc7.weight",
};

/// A detector that looks at tiles, too.
pub const TILED: Case = Case {
    name: "tiled",
    labels: Labels::Boxes,
    options: &[
        ("--task", "image-object-detection"),
        ("--model_name", "yolov5"),
        ("--model_size", "nano"),
        ("--img_size", "64"),
        ("--tile_grid_size", "2x1"),
        ("--box_detections_per_img", "10"),
    ],
    predict: &[("--box_score_thresh", "0.001")],
    forms: &BOTH,
    variance: 0.15,
    telling: "model.24.m.1.weight",
};

/// All of them.
pub const ALL: [Case; 5] = [CLASSIFIER, LABEL_SETS, YOLOV5, FASTER_RCNN, TILED];

impl Case {
    /// Where a version of it is kept.
    pub fn fixture(&self, version: &str) -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/compat").join(version).join(self.name)
    }

    /// Whether its answers are boxes.
    pub fn is_detector(&self) -> bool {
        self.labels == Labels::Boxes
    }
}
