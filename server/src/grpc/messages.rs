//! The messages of `inference.GRPCInferenceService`, with the numbers and types that the protocol gives their fields. What Fovea
//! neither reads nor says is left out; a client's decoder takes it for absent, and ours skips it.

use std::collections::BTreeMap;

use prost::{Message, Oneof, bytes::Bytes};

/// Asks nothing: of a server's life, readiness and metadata.
#[derive(Clone, PartialEq, Message)]
pub struct Empty {}

/// Whether the process answers.
#[derive(Clone, PartialEq, Message)]
pub struct ServerLiveResponse {
    /// It does.
    #[prost(bool, tag = "1")]
    pub live: bool,
}

/// Whether the server wants requests.
#[derive(Clone, PartialEq, Message)]
pub struct ServerReadyResponse {
    /// It does.
    #[prost(bool, tag = "1")]
    pub ready: bool,
}

/// Asks about a model: whether it is ready, its metadata, its configuration, its statistics.
#[derive(Clone, PartialEq, Message)]
pub struct ModelRequest {
    /// Name. Statistics without one are those of all models.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Version; empty for the one that the server chooses.
    #[prost(string, tag = "2")]
    pub version: String,
}

/// Whether a model has a worker to answer.
#[derive(Clone, PartialEq, Message)]
pub struct ModelReadyResponse {
    /// It has.
    #[prost(bool, tag = "1")]
    pub ready: bool,
}

/// What a server says about itself.
#[derive(Clone, PartialEq, Message)]
pub struct ServerMetadataResponse {
    /// Name of the program.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    pub version: String,
    /// Extensions of the protocol that it knows.
    #[prost(string, repeated, tag = "3")]
    pub extensions: Vec<String>,
}

/// What a server says about a model.
#[derive(Clone, PartialEq, Message)]
pub struct ModelMetadataResponse {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Versions that are loaded.
    #[prost(string, repeated, tag = "2")]
    pub versions: Vec<String>,
    /// What runs it.
    #[prost(string, tag = "3")]
    pub platform: String,
    /// What it takes.
    #[prost(message, repeated, tag = "4")]
    pub inputs: Vec<TensorMetadata>,
    /// What it gives.
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<TensorMetadata>,
}

/// Name, type and shape of an input or output.
#[derive(Clone, PartialEq, Message)]
pub struct TensorMetadata {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Element type, such as `UINT8`.
    #[prost(string, tag = "2")]
    pub datatype: String,
    /// Shape; -1 where it varies.
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
}

/// How a model is set up.
#[derive(Clone, PartialEq, Message)]
pub struct ModelConfigResponse {
    /// It.
    #[prost(message, optional, tag = "1")]
    pub config: Option<ModelConfig>,
}

/// A model's configuration in the words of Triton.
#[derive(Clone, PartialEq, Message)]
pub struct ModelConfig {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// What runs it.
    #[prost(string, tag = "2")]
    pub platform: String,
    /// Most images that are run at once.
    #[prost(int32, tag = "4")]
    pub max_batch_size: i32,
    /// What it takes.
    #[prost(message, repeated, tag = "5")]
    pub input: Vec<ModelInput>,
    /// What it gives.
    #[prost(message, repeated, tag = "6")]
    pub output: Vec<ModelOutput>,
    /// Its sessions.
    #[prost(message, repeated, tag = "7")]
    pub instance_group: Vec<ModelInstanceGroup>,
    /// How requests are put together.
    #[prost(message, optional, tag = "11")]
    pub dynamic_batching: Option<ModelDynamicBatching>,
    /// What runs it, in another spelling.
    #[prost(string, tag = "17")]
    pub backend: String,
}

/// An input, without the dimension of the batch.
#[derive(Clone, PartialEq, Message)]
pub struct ModelInput {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Element type: its position in [`DATA_TYPES`].
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Shape of one image's part; -1 where it varies.
    #[prost(int64, repeated, tag = "4")]
    pub dims: Vec<i64>,
}

/// An output, without the dimension of the batch.
#[derive(Clone, PartialEq, Message)]
pub struct ModelOutput {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Element type: its position in [`DATA_TYPES`].
    #[prost(int32, tag = "2")]
    pub data_type: i32,
    /// Shape of one image's part; -1 where it varies.
    #[prost(int64, repeated, tag = "3")]
    pub dims: Vec<i64>,
}

/// Names of the protocol's element types in a configuration; the position of each is its number.
pub const DATA_TYPES: [&str; 15] = [
    "TYPE_INVALID",
    "TYPE_BOOL",
    "TYPE_UINT8",
    "TYPE_UINT16",
    "TYPE_UINT32",
    "TYPE_UINT64",
    "TYPE_INT8",
    "TYPE_INT16",
    "TYPE_INT32",
    "TYPE_INT64",
    "TYPE_FP16",
    "TYPE_FP32",
    "TYPE_FP64",
    "TYPE_STRING",
    "TYPE_BF16",
];

/// Sessions of one kind.
#[derive(Clone, PartialEq, Message)]
pub struct ModelInstanceGroup {
    /// How many.
    #[prost(int32, tag = "2")]
    pub count: i32,
    /// What they run on: its position in [`KINDS`].
    #[prost(int32, tag = "4")]
    pub kind: i32,
}

/// Names of what sessions run on; the position of each is its number.
pub const KINDS: [&str; 4] = ["KIND_AUTO", "KIND_GPU", "KIND_CPU", "KIND_MODEL"];

/// How requests are put together.
#[derive(Clone, PartialEq, Message)]
pub struct ModelDynamicBatching {
    /// How long a request waits for others.
    #[prost(uint64, tag = "2")]
    pub max_queue_delay_microseconds: u64,
}

/// The work of one model or all.
#[derive(Clone, PartialEq, Message)]
pub struct ModelStatisticsResponse {
    /// Of each model.
    #[prost(message, repeated, tag = "1")]
    pub model_stats: Vec<ModelStatistics>,
}

/// The work of a model since it was loaded.
#[derive(Clone, PartialEq, Message)]
pub struct ModelStatistics {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Version.
    #[prost(string, tag = "2")]
    pub version: String,
    /// Milliseconds since 1970 when the last batch ended; 0 before the first.
    #[prost(uint64, tag = "3")]
    pub last_inference: u64,
    /// Images that were answered, tiles included.
    #[prost(uint64, tag = "4")]
    pub inference_count: u64,
    /// Batches that were run.
    #[prost(uint64, tag = "5")]
    pub execution_count: u64,
    /// Of requests.
    #[prost(message, optional, tag = "6")]
    pub inference_stats: Option<InferStatistics>,
    /// Of batches, by their size.
    #[prost(message, repeated, tag = "7")]
    pub batch_stats: Vec<InferBatchStatistics>,
}

/// How many requests there were and how long they took.
#[derive(Clone, PartialEq, Message)]
pub struct InferStatistics {
    /// Those that ended well.
    #[prost(message, optional, tag = "1")]
    pub success: Option<StatisticDuration>,
    /// Those that did not.
    #[prost(message, optional, tag = "2")]
    pub fail: Option<StatisticDuration>,
    /// Waiting for the model.
    #[prost(message, optional, tag = "3")]
    pub queue: Option<StatisticDuration>,
    /// Decoding and preparing.
    #[prost(message, optional, tag = "4")]
    pub compute_input: Option<StatisticDuration>,
    /// The model.
    #[prost(message, optional, tag = "5")]
    pub compute_infer: Option<StatisticDuration>,
    /// Writing the answer.
    #[prost(message, optional, tag = "6")]
    pub compute_output: Option<StatisticDuration>,
    /// Answers from a cache.
    #[prost(message, optional, tag = "7")]
    pub cache_hit: Option<StatisticDuration>,
    /// The others.
    #[prost(message, optional, tag = "8")]
    pub cache_miss: Option<StatisticDuration>,
}

/// A number of things and the time that they took.
#[derive(Clone, PartialEq, Message)]
pub struct StatisticDuration {
    /// How many.
    #[prost(uint64, tag = "1")]
    pub count: u64,
    /// Nanoseconds.
    #[prost(uint64, tag = "2")]
    pub ns: u64,
}

/// Batches of one size.
#[derive(Clone, PartialEq, Message)]
pub struct InferBatchStatistics {
    /// Images in each, padding included.
    #[prost(uint64, tag = "1")]
    pub batch_size: u64,
    /// Decoding and preparing.
    #[prost(message, optional, tag = "2")]
    pub compute_input: Option<StatisticDuration>,
    /// The model.
    #[prost(message, optional, tag = "3")]
    pub compute_infer: Option<StatisticDuration>,
    /// Writing the answers.
    #[prost(message, optional, tag = "4")]
    pub compute_output: Option<StatisticDuration>,
}

/// Asks for a model to be loaded or unloaded.
#[derive(Clone, PartialEq, Message)]
pub struct RepositoryModelRequest {
    /// Its name.
    #[prost(string, tag = "2")]
    pub model_name: String,
    /// How; what loads other files than the model's own is not supported.
    #[prost(btree_map = "string, message", tag = "3")]
    pub parameters: BTreeMap<String, RepositoryParameter>,
}

/// The value of a parameter of loading, of which only the presence matters.
#[derive(Clone, PartialEq, Message)]
pub struct RepositoryParameter {}

/// Asks for the list of models.
#[derive(Clone, PartialEq, Message)]
pub struct RepositoryIndexRequest {
    /// Only those that are ready.
    #[prost(bool, tag = "2")]
    pub ready: bool,
}

/// The list of models.
#[derive(Clone, PartialEq, Message)]
pub struct RepositoryIndexResponse {
    /// In the order in which they were named.
    #[prost(message, repeated, tag = "1")]
    pub models: Vec<ModelIndex>,
}

/// One model in the list.
#[derive(Clone, PartialEq, Message)]
pub struct ModelIndex {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Version.
    #[prost(string, tag = "2")]
    pub version: String,
    /// `READY` or `UNAVAILABLE`.
    #[prost(string, tag = "3")]
    pub state: String,
    /// Why it is not ready; empty when it is.
    #[prost(string, tag = "4")]
    pub reason: String,
}

/// A request for inference.
#[derive(Clone, PartialEq, Message)]
pub struct ModelInferRequest {
    /// Name of the model.
    #[prost(string, tag = "1")]
    pub model_name: String,
    /// Version; empty for the one that the server chooses.
    #[prost(string, tag = "2")]
    pub model_version: String,
    /// Repeated in the answer.
    #[prost(string, tag = "3")]
    pub id: String,
    /// Options that concern the whole request.
    #[prost(btree_map = "string, message", tag = "4")]
    pub parameters: BTreeMap<String, InferParameter>,
    /// The tensors.
    #[prost(message, repeated, tag = "5")]
    pub inputs: Vec<InferInputTensor>,
    /// Outputs that are asked for, in the order of the answer; all when there is none.
    #[prost(message, repeated, tag = "6")]
    pub outputs: Vec<InferRequestedOutputTensor>,
    /// The elements of each input as bytes, unless they stand in `contents`.
    #[prost(bytes = "bytes", repeated, tag = "7")]
    pub raw_input_contents: Vec<Bytes>,
}

/// An input tensor.
#[derive(Clone, PartialEq, Message)]
pub struct InferInputTensor {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Element type, such as `UINT8`.
    #[prost(string, tag = "2")]
    pub datatype: String,
    /// Size of each dimension.
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
    /// Options.
    #[prost(btree_map = "string, message", tag = "4")]
    pub parameters: BTreeMap<String, InferParameter>,
    /// The elements, unless they stand in `raw_input_contents`.
    #[prost(message, optional, tag = "5")]
    pub contents: Option<InferTensorContents>,
}

/// Elements by their type; those of types that no model takes are left out.
#[derive(Clone, PartialEq, Message)]
pub struct InferTensorContents {
    /// INT64.
    #[prost(int64, repeated, tag = "3")]
    pub int64_contents: Vec<i64>,
    /// UINT8, UINT16 and UINT32.
    #[prost(uint32, repeated, tag = "4")]
    pub uint_contents: Vec<u32>,
    /// BYTES.
    #[prost(bytes = "bytes", repeated, tag = "8")]
    pub bytes_contents: Vec<Bytes>,
}

/// An output that is asked for.
#[derive(Clone, PartialEq, Message)]
pub struct InferRequestedOutputTensor {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Options.
    #[prost(btree_map = "string, message", tag = "2")]
    pub parameters: BTreeMap<String, InferParameter>,
}

/// The value of an option.
#[derive(Clone, PartialEq, Message)]
pub struct InferParameter {
    /// It.
    #[prost(oneof = "ParameterChoice", tags = "1, 2, 3, 4, 5")]
    pub parameter_choice: Option<ParameterChoice>,
}

/// The value of an option, by its type.
#[derive(Clone, PartialEq, Oneof)]
pub enum ParameterChoice {
    /// Yes or no.
    #[prost(bool, tag = "1")]
    BoolParam(bool),
    /// A whole number.
    #[prost(int64, tag = "2")]
    Int64Param(i64),
    /// A text.
    #[prost(string, tag = "3")]
    StringParam(String),
    /// A number.
    #[prost(double, tag = "4")]
    DoubleParam(f64),
    /// A whole number that is not negative.
    #[prost(uint64, tag = "5")]
    Uint64Param(u64),
}

/// The answer to a request for inference.
#[derive(Clone, PartialEq, Message)]
pub struct ModelInferResponse {
    /// Model that answered.
    #[prost(string, tag = "1")]
    pub model_name: String,
    /// Its version.
    #[prost(string, tag = "2")]
    pub model_version: String,
    /// Id of the request; empty when it had none.
    #[prost(string, tag = "3")]
    pub id: String,
    /// Facts about the answer.
    #[prost(btree_map = "string, message", tag = "4")]
    pub parameters: BTreeMap<String, InferParameter>,
    /// The tensors.
    #[prost(message, repeated, tag = "5")]
    pub outputs: Vec<InferOutputTensor>,
    /// The elements of each output: little-endian, in row-major order.
    #[prost(bytes = "bytes", repeated, tag = "6")]
    pub raw_output_contents: Vec<Bytes>,
}

/// An output tensor.
#[derive(Clone, PartialEq, Message)]
pub struct InferOutputTensor {
    /// Name.
    #[prost(string, tag = "1")]
    pub name: String,
    /// Element type, such as `FP32`.
    #[prost(string, tag = "2")]
    pub datatype: String,
    /// Size of each dimension.
    #[prost(int64, repeated, tag = "3")]
    pub shape: Vec<i64>,
}

/// The answer to one request of a stream.
#[derive(Clone, PartialEq, Message)]
pub struct ModelStreamInferResponse {
    /// Why there is none; empty when there is.
    #[prost(string, tag = "1")]
    pub error_message: String,
    /// The answer; of a refused request only its id.
    #[prost(message, optional, tag = "2")]
    pub infer_response: Option<ModelInferResponse>,
}
