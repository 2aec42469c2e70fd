//! What a server says of its models' configuration and work in the words of Triton's extensions of the protocol, which its clients ask.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a model is set up.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelConfig {
    /// Name.
    pub name: String,
    /// What runs it.
    pub platform: String,
    /// The same, in another spelling.
    pub backend: String,
    /// Most images that are run at once.
    pub max_batch_size: u64,
    /// What it takes.
    pub input: Vec<TensorConfig>,
    /// What it gives.
    pub output: Vec<TensorConfig>,
    /// Its sessions.
    pub instance_group: Vec<InstanceGroup>,
    /// How requests are put together.
    pub dynamic_batching: DynamicBatching,
}

/// Name, type and shape of an input or output, without the dimension of the batch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TensorConfig {
    /// Name.
    pub name: String,
    /// Element type, such as `TYPE_UINT8`.
    pub data_type: String,
    /// Shape of one image's part; -1 where it varies.
    pub dims: Vec<i64>,
}

/// Sessions of one kind.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InstanceGroup {
    /// `KIND_CPU` or `KIND_GPU`.
    pub kind: String,
    /// How many.
    pub count: usize,
}

/// How requests are put together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct DynamicBatching {
    /// How long a request waits for others: never.
    pub max_queue_delay_microseconds: u64,
}

/// The work of several models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Statistics {
    /// Of each model.
    pub model_stats: Vec<ModelStatistics>,
}

/// The work of a model since it was loaded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ModelStatistics {
    /// Name.
    pub name: String,
    /// Version.
    pub version: String,
    /// Milliseconds since 1970 when the last batch ended; 0 before the first.
    pub last_inference: u64,
    /// Images that were answered, tiles included.
    pub inference_count: u64,
    /// Batches that were run.
    pub execution_count: u64,
    /// Of requests.
    pub inference_stats: InferenceStatistics,
    /// Of batches, by their size.
    pub batch_stats: Vec<BatchStatistics>,
}

/// How many requests there were and how long they took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct InferenceStatistics {
    /// Those that ended well.
    pub success: StatisticDuration,
    /// Those that did not.
    pub fail: StatisticDuration,
    /// Waiting for the model.
    pub queue: StatisticDuration,
    /// Decoding and preparing.
    pub compute_input: StatisticDuration,
    /// The model.
    pub compute_infer: StatisticDuration,
    /// Writing the answer.
    pub compute_output: StatisticDuration,
    /// Answers from a cache, of which there is none.
    pub cache_hit: StatisticDuration,
    /// The others.
    pub cache_miss: StatisticDuration,
}

/// A number of things and the time that they took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StatisticDuration {
    /// How many.
    pub count: u64,
    /// Nanoseconds.
    pub ns: u64,
}

/// Batches of one size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct BatchStatistics {
    /// Images in each, padding included.
    pub batch_size: usize,
    /// Decoding and preparing, which is done image by image before there is a batch.
    pub compute_input: StatisticDuration,
    /// The model.
    pub compute_infer: StatisticDuration,
    /// Writing the answers, which is done request by request.
    pub compute_output: StatisticDuration,
}
