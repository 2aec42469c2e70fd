//! The formula of `scripts/oracle/detect_forward.py`: that of [`crate::synthetic`] at scales that detectors need.

use models::classify::resnet::Block;
use models::detect::Detector;
use models::ops::Role;

use crate::synthetic::uniform;

/// Variance of a weight times its fan-in, times 3, of the first row whose place the key begins with and whose layer it
/// has.
const GAINS: [(&str, &str, f64); 17] = [
    ("model.24.m.", "", 30.0),
    ("model.", "", 5.0),
    ("backbone.body.", "", 3.0),
    ("backbone.fpn.inner_blocks.", "", 0.3),
    ("backbone.fpn.", "", 3.0),
    ("rpn.head.conv.", "", 6.0),
    ("rpn.head.cls_logits.", "", 6.0),
    ("rpn.head.bbox_pred.", "", 0.3),
    ("roi_heads.box_head.", "", 6.0),
    ("roi_heads.box_predictor.cls_score.", "", 12.0),
    ("roi_heads.box_predictor.bbox_pred.", "", 10.0),
    ("roi_heads.mask_head.", "", 6.0),
    ("roi_heads.mask_predictor.conv5_mask.", "", 24.0),
    ("roi_heads.mask_predictor.mask_fcn_logits.", "", 12.0),
    ("head.", ".conv.", 6.0),
    ("head.", ".cls_logits.", 60.0),
    ("head.", ".bbox_reg.", 0.3),
];

/// Whether a normalisation weight scales the branch of a residual block.
fn ends_branch(detector: &Detector, key: &str) -> bool {
    match detector {
        Detector::Yolov5(_) => key.contains(".m.") && key.ends_with(".cv2.bn.weight"),
        Detector::FasterRcnn(body) | Detector::RetinaNet(body) | Detector::MaskRcnn(body) => match body.block {
            Block::Basic => key.starts_with("backbone.body.layer") && key.ends_with(".bn2.weight"),
            Block::Bottleneck => key.ends_with(".bn3.weight"),
        },
    }
}

/// The parameter or running statistic under `key`, row-major; `None` for what keeps its initial value.
///
/// # Panics
/// On a negative dimension, and on a key without a row.
#[must_use]
pub fn param(detector: &Detector, key: &str, shape: &[i64], role: Role) -> Option<Vec<f32>> {
    if role == Role::Counter || key == "model.24.anchors" {
        return None;
    }
    let sizes: Vec<usize> = shape.iter().map(|d| usize::try_from(*d).expect("a size")).collect();
    let scale: (f64, f64) = if key.ends_with("running_var") {
        (1.0, 0.5)
    } else if key.ends_with("bias") || key.ends_with("running_mean") {
        (0.2, -0.1)
    } else if sizes.len() == 1 {
        if ends_branch(detector, key) { (0.25, 0.125) } else { (1.0, 0.5) }
    } else {
        let row = GAINS.iter().find(|(place, layer, _)| key.starts_with(place) && key.contains(layer));
        let gain = row.unwrap_or_else(|| panic!("no gain for {key}")).2;
        let fan_in = u32::try_from(sizes[1..].iter().product::<usize>()).expect("a layer's width");
        let bound = (gain / f64::from(fan_in)).sqrt();
        (2.0 * bound, -bound)
    };
    #[expect(clippy::cast_possible_truncation, reason = "the formula ends in single precision")]
    let value = |u: f64| (u * scale.0 + scale.1) as f32;
    Some(uniform(key, sizes.iter().product()).map(value).collect())
}

/// Eight regions in each image of these sizes (height and width), `[N, 8, 4]` row-major, `xyxy`.
#[must_use]
pub fn rois(name: &str, inner: &[[i64; 2]]) -> Vec<f32> {
    let mut out = Vec::with_capacity(inner.len() * 32);
    for (image, [height, width]) in inner.iter().enumerate() {
        #[expect(clippy::cast_precision_loss, reason = "sides of small images")]
        let size = [*width as f64, *height as f64];
        let u: Vec<f64> = uniform(&format!("rois/{name}/{image}"), 32).collect();
        for u in u.chunks_exact(4) {
            let low = [u[0] * 0.6 * size[0], u[1] * 0.6 * size[1]];
            let high = [low[0] + (0.02 + u[2] * 0.4) * size[0], low[1] + (0.02 + u[3] * 0.4) * size[1]];
            #[expect(clippy::cast_possible_truncation, reason = "the formula ends in single precision")]
            out.extend([low[0], low[1], high[0], high[1]].map(|v| v as f32));
        }
    }
    out
}
