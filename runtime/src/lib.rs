//! ONNX Runtime for every part of Fovea that opens an exported model: find the library, open the file, run uint8 images.
//!
//! ```no_run
//! # fn main() -> Result<(), runtime::RuntimeError> {
//! runtime::telemetry::switch_off(); // first in `main`: starts the program again where ORT_DISABLE_TELEMETRY is not 1
//! let options = runtime::Options { intra_threads: 2, library: None };
//! let mut model = runtime::Model::open("model.onnx".as_ref(), &options)?;
//! let images = ndarray::Array4::<u8>::zeros((1, 480, 640, 3));
//! let probabilities = model.run(images.view())?; // [1, number of labels]
//! # Ok(()) }
//! ```

mod bound;
mod cuda;
mod describe;
mod detect;
mod error;
mod execution;
mod format;
mod graphs;
mod library;
mod model;
mod openvino;
mod placement;
mod plugin;
mod probe;
mod provider;
mod required;
pub mod sample;
pub mod scan;
pub mod telemetry;
mod tensorrt;
mod variable;

pub use describe::Outputs;
pub use detect::Overrides;
pub use error::RuntimeError;
pub use execution::{Buckets, Execution};
pub use format::{
    BOXES, FEATURES, FORM_KEY, INPUT, IOU_THRESHOLD, LABELS, MASK_THRESHOLD, MASKS, META_KEY, OUTPUT, PIXELS,
    SCORE_THRESHOLD, SCORES, SIZES,
};
pub use library::init;
pub use model::{Model, Options};
pub use placement::Placement;
pub use probe::{Data, Probe, Tensor};
pub use provider::{OpenVinoDevice, Provider, UnknownProvider};
pub use schemas::Form;
pub use variable::{LIBRARY_VARIABLE, OPENVINO_VARIABLE, TENSORRT_VARIABLE};
