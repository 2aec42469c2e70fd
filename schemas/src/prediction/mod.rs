//! Requests and answers of a served model: the specification's scoring JSON, and the tensors of the Open Inference
//! Protocol (version 2).
//!
//! Requests come from anywhere. Their types refuse unknown keys, store images as borrowed text where they can, and bound
//! what a small body can expand to.

mod detection;
mod explain;
mod score;
mod tensor;
#[cfg(test)]
mod tests;
mod v2;

pub use detection::Detection;
pub use explain::{ApproximationMethod, XaiAlgorithm, XaiParameters};
pub use score::{
    Attributions, ClassificationAnswer, DetectionAnswer, ImageRequest, InputData, MAX_IMAGES, ScoreCell, ScoreRequest,
    ScoredBox, Visualizations,
};
pub use tensor::{Datatype, MAX_RANK, TensorData};
pub use v2::{
    InferInput, InferOutput, InferRequest, InferResponse, ModelMetadata, OutputData, Parameter, Parameters,
    RequestedOutput, ServerMetadata, TensorMetadata,
};
