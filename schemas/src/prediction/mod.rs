//! Requests and answers of a served model: the specification's scoring JSON, and the tensors of the Open Inference
//! Protocol (version 2).
//!
//! # Unknown keys
//!
//! Requests of other systems' protocols (Azure's scoring call, V2 inference) may hold keys that Fovea does not know: they are
//! ignored, and the published schemas say so with `"additionalProperties": true`. Clients of those systems send keys of their
//! own, and a new version of a protocol adds some. In Fovea's own files, settings and query strings an unknown key is an error
//! that names the nearest one that is known: there it is a slip of the writer.
//!
//! # Requests that come from anywhere
//!
//! The types keep images as borrowed text where they can, and bound what a small body can expand to: lists have a greatest
//! length, [`TensorData`] is read only when its shape is known, and nothing is kept of an unknown key.

mod classes;
mod detection;
mod drawing;
mod explain;
mod limits;
mod masks;
mod object;
mod options;
mod score;
mod statistics;
mod tensor;
#[cfg(test)]
mod tests;
mod v2;

pub use classes::{ClassCount, ranked};
pub use detection::{Detection, DetectionSettings, MASK_SIDE, SoftMask, Thresholds, Tiling};
pub use drawing::Drawing;
pub use explain::{ApproximationMethod, XaiAlgorithm, XaiParameters};
pub use limits::MAX_IMAGES;
pub use masks::{MaskForm, MaskPng, MaskRle};
pub use options::{MAX_OPTION_LENGTH, MODEL_OPTIONS, ModelOption, ModelOptions, OptionOf, Scalar};
pub use score::{
    Attributions, ClassificationAnswer, DetectionAnswer, ImageRequest, InputData, MAX_FILENAME, ScoreCell, ScoreQuery,
    ScoreRequest, ScoredBox, Visualizations,
};
pub use statistics::{
    BatchStatistics, DynamicBatching, InferenceStatistics, InstanceGroup, ModelConfig, ModelStatistics,
    StatisticDuration, Statistics, TensorConfig,
};
pub use tensor::{DataError, Datatype, MAX_RANK, TensorData};
pub use v2::{
    BinarySize, DetectionDefaults, IMAGES, InferInput, InferOutput, InferRequest, InferResponse, InputParameters,
    LoadParameters, LoadRequest, MAX_ID_LENGTH, ModelExecution, ModelMetadata, ModelParameters, ModelReady, ModelState,
    OutputData, OutputParameters, RequestParameters, RequestedOutput, SIZES, ServerLive, ServerMetadata, ServerReady,
    TensorMetadata, Unsupported,
};
