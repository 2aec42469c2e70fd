//! Anchors of YOLOv5, fitted to the objects of a data set.

use models::detect::yolov5;
use models::host::Placement;
use schemas::Plan;
use tch::Tensor;

use super::autoanchor::{self, Size};
use super::yolov5_loss::Hyper;
use crate::log::Log;
use crate::nn::network::Network;
use dataset::{Images, KeyedRng};

/// Key of YOLOv5's anchors, in cells of their maps.
const ANCHORS: &str = "model.24.anchors";

/// Reports how well YOLOv5's anchors fit the training objects and, where the plan asks for it, puts better ones in their
/// place.
pub fn fit(network: &mut Network, plan: &Plan, data: &dyn Images, log: &Log) {
    let strides = yolov5::STRIDES.map(f64::from);
    let cells =
        Vec::<f64>::try_from(&network.params.tensor(ANCHORS, &[3, 3, 2]).reshape([-1]).to_kind(tch::Kind::Double));
    let pixels = |(at, side): (usize, f64)| side * strides[at / 6];
    let sides: Vec<f64> = cells.unwrap_or_default().into_iter().enumerate().map(pixels).collect();
    let current = sides.as_chunks::<2>().0;
    let mut rng = KeyedRng::new("anchors", &[plan.seed]);
    let report = autoanchor::check(&sizes(network, data), current, Hyper::default().anchor_threshold, &mut rng);
    let share = |recall: f64| format!("{:.1} %", 100.0 * recall);
    log.line(&format!("anchors are near {} of the training boxes", share(report.current.recall)));
    let Some(better) = report.better else { return };
    let list: Vec<String> = better.anchors.iter().map(|[w, h]| format!("{w:.0}x{h:.0}")).collect();
    let fit = format!("{} are near {}", list.join(" "), share(better.fit.recall));
    if !plan.settings.autoanchor {
        log.line(&format!("{fit}; --autoanchor true would use them"));
        return;
    }
    let cells: Vec<f32> = better
        .anchors
        .iter()
        .flatten()
        .enumerate()
        .map(|(at, side)| (side / strides[(at / 6).min(2)]) as f32)
        .collect();
    network.params.set(ANCHORS, &Tensor::from_slice(&cells).reshape([3, 3, 2]));
    log.line(&format!("{fit}, and are used"));
}

/// Width and height of every training object in pixels of the network's input.
fn sizes(network: &Network, data: &dyn Images) -> Vec<Size> {
    let mut sizes = Vec::new();
    for index in 0..data.len() {
        let objects = data.objects(index);
        // An image that cannot be read has no size, and is left out of training too.
        let Ok([width, height]) = data.size(index) else { continue };
        let place = Placement::of(width, height, &network.preprocessing.fit);
        let (width, height) = (f64::from(place.inner_width), f64::from(place.inner_height));
        sizes.extend(objects.iter().map(|object| {
            let [x1, y1, x2, y2] = object.corners.map(f64::from);
            [(x2 - x1) * width, (y2 - y1) * height]
        }));
    }
    sizes
}
