//! Logging to an MLflow server, and model folders that MLflow loads.
//!
//! [`Server`] speaks MLflow's REST API 2.0: experiments, runs, parameters, metrics, artifacts, registered models.
//! [`model_folder`] writes an exported model as MLflow's `onnx` flavour.
//!
//! Nothing here decides what a failure means. A server that is down must not end a study: the caller reports the error and goes
//! on. A call waits as long as [`Server`] says, so a caller that must not wait logs from a thread of its own.

mod artifacts;
mod error;
mod folder;
mod http;
mod limits;
mod registry;
mod server;
#[cfg(test)]
mod stub;

pub use error::MlflowError;
pub use folder::{Dtype, ModelFacts, Tensor, model_folder};
pub use limits::clean_name;
pub use registry::{ModelVersion, NewVersion};
pub use server::{Metric, NewRun, Run, RunStatus, Server};
