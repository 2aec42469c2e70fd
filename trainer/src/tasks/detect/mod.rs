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
pub mod mask_loss;
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
mod transfer;
mod yolov5_assignment;
pub mod yolov5_loss;

pub use target::{Object, Objects, Target};
pub use task::Detect;
