//! How a detector is taught: which prediction answers for which object, which of them are drawn, and what they cost.
//!
//! ```text
//! target      the objects of each image, as the loader gives them
//! boxes       areas, intersection over union, CIoU, clipping            coder     boxes <-> regression targets
//! matcher     box -> object, background or neither (torchvision)        sampler   which matched boxes count
//! rpn_loss, roi_loss, retinanet_loss                                    torchvision's losses
//! yolov5_assignment, yolov5_loss                                        YOLOv5's
//! autoanchor  how well anchors fit a data set, and better ones
//! evaluate    a whole data set, and what is found in it                 report, statistics   what a report shows of it
//! ```
//!
//! Raw outputs of a network come in, scalars come out; nothing here knows an architecture. All of it works in float32
//! and float64; half precision is widened to float32 first, as sums over so many boxes need. Boxes are `xyxy`, absolute
//! pixels of the network's input. Objects are few, so they are handled on the host: keep [`Target`] on the CPU. What
//! depends on the network's outputs stays on its device.

mod anchors;
pub mod autoanchor;
pub mod boxes;
pub mod coder;
pub mod evaluate;
pub mod matcher;
pub mod recorded;
pub mod report;
pub mod retinanet_loss;
pub mod roi_loss;
pub mod rpn_loss;
pub mod sampler;
pub mod statistics;
mod target;
mod task;
mod yolov5_assignment;
pub mod yolov5_loss;

use tch::{Device, Kind, Tensor};

use super::Losses;

pub use target::{Object, Objects, Target};
pub use task::Detect;

/// The precision to compute in: float64 stays, everything else becomes float32.
fn precise(kind: Kind) -> Kind {
    if kind == Kind::Double { Kind::Double } else { Kind::Float }
}

/// Host values on a device, without waiting for the work that is queued there.
fn upload<T: tch::kind::Element>(values: &[T], kind: Kind, device: Device) -> Tensor {
    Tensor::from_slice(values).to_kind(kind).to_device_(device, kind, true, false)
}

/// The values of a tensor on the host, row-major. Waits for the device.
fn host<T: tch::kind::Element + Clone + Default>(tensor: &Tensor) -> Vec<T> {
    let tensor = tensor.to_device(Device::Cpu).to_kind(T::KIND).contiguous();
    let mut values = vec![T::default(); tensor.numel()];
    tensor.copy_data(&mut values, tensor.numel());
    values
}
