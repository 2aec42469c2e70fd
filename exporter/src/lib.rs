//! From a checkpoint to one self-sufficient ONNX file: the definition in `models` is read once more, by an interpreter that
//! emits nodes; preprocessing and metadata are put around it; the file is run and compared with what the trainer recorded
//! before it gets its name. Links no libtorch.
//!
//! The same checkpoint and settings always give the same bytes.

#![cfg_attr(not(test), deny(clippy::print_stdout, clippy::print_stderr))]

pub mod builder;
pub mod change;
pub mod dump;
mod emit;
mod error;
pub mod export;
pub mod graph;
pub mod preprocess;
pub mod probe;
pub mod proto;
pub mod source;
pub mod summary;
pub mod verify;

pub use error::ExportError;
pub use export::{ExportSettings, export};
pub use runtime::Form;
pub use summary::ExportSummary;
