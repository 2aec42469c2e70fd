//! The methods, and the answers of those that only tell something.

use std::sync::Arc;

use prost::{Message, bytes::Bytes};
use schemas::prediction::{self, InferenceStatistics};

use super::{
    messages::{
        DATA_TYPES, InferBatchStatistics, InferStatistics, KINDS, ModelConfig, ModelConfigResponse,
        ModelDynamicBatching, ModelIndex, ModelInput, ModelInstanceGroup, ModelMetadataResponse, ModelOutput,
        ModelReadyResponse, ModelRequest, ModelStatistics, ModelStatisticsResponse, RepositoryIndexRequest,
        RepositoryIndexResponse, ServerLiveResponse, ServerMetadataResponse, ServerReadyResponse, StatisticDuration,
        TensorMetadata,
    },
    outline::broken,
    reply::{Failure, Payload},
};
use crate::{
    backend::ServedModel,
    catalogue::Found,
    error::ServerError,
    routes::{
        health::{self, ModelPath},
        repository,
    },
    state::State,
};

/// What the path of every method begins with.
const SERVICE: &str = "/inference.GRPCInferenceService/";

/// A method that only tells something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Telling {
    ServerLive,
    ServerReady,
    ServerMetadata,
    ModelReady,
    ModelMetadata,
    ModelConfig,
    ModelStatistics,
    RepositoryIndex,
}

/// A method that changes what is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Change {
    Load,
    Unload,
}

/// A method of the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Method {
    Tell(Telling),
    Infer,
    StreamInfer,
    Change(Change),
}

impl Method {
    /// The method that a path names.
    pub(super) fn of(path: &str) -> Option<Self> {
        Some(match path.strip_prefix(SERVICE)? {
            "ServerLive" => Self::Tell(Telling::ServerLive),
            "ServerReady" => Self::Tell(Telling::ServerReady),
            "ServerMetadata" => Self::Tell(Telling::ServerMetadata),
            "ModelReady" => Self::Tell(Telling::ModelReady),
            "ModelMetadata" => Self::Tell(Telling::ModelMetadata),
            "ModelConfig" => Self::Tell(Telling::ModelConfig),
            "ModelStatistics" => Self::Tell(Telling::ModelStatistics),
            "RepositoryIndex" => Self::Tell(Telling::RepositoryIndex),
            "ModelInfer" => Self::Infer,
            "ModelStreamInfer" => Self::StreamInfer,
            "RepositoryModelLoad" => Self::Change(Change::Load),
            "RepositoryModelUnload" => Self::Change(Change::Unload),
            _ => return None,
        })
    }

    /// Its name in the metrics.
    pub(super) fn route(self) -> &'static str {
        match self {
            Self::Tell(Telling::ServerLive) => "grpc_live",
            Self::Tell(Telling::ServerReady | Telling::ModelReady) => "grpc_ready",
            Self::Tell(Telling::ServerMetadata) => "grpc_server",
            Self::Tell(Telling::ModelMetadata) => "grpc_model",
            Self::Tell(Telling::ModelConfig) => "grpc_config",
            Self::Tell(Telling::ModelStatistics) => "grpc_stats",
            Self::Tell(Telling::RepositoryIndex) => "grpc_index",
            Self::Infer => "grpc_infer",
            Self::StreamInfer => "grpc_stream_infer",
            Self::Change(Change::Load) => "grpc_load",
            Self::Change(Change::Unload) => "grpc_unload",
        }
    }
}

/// What answers requests for the model, of this version where one is named.
pub(super) fn find(state: &State, model: &str, version: &str) -> Result<Found, ServerError> {
    let version = (!version.is_empty()).then(|| version.to_owned());
    ModelPath { model: model.to_owned(), version }.find(state)
}

fn named(state: &State, message: &Bytes) -> Result<Arc<ServedModel>, ServerError> {
    let ModelRequest { name, version } = read(message)?;
    Ok(find(state, &name, &version)?.model)
}

pub(super) fn read<M: Message + Default>(message: &Bytes) -> Result<M, ServerError> {
    M::decode(message.clone()).map_err(|error| broken(&error))
}

/// The answer to a method that only tells something.
///
/// # Errors
/// An unknown model, and a message that is not the method's.
pub(super) fn tell(what: Telling, message: &Bytes, state: &State) -> Result<Payload, Failure> {
    let payload = match what {
        Telling::ServerLive => Payload::new(&ServerLiveResponse { live: true }, None),
        Telling::ServerReady => Payload::new(&ServerReadyResponse { ready: state.is_ready() }, None),
        Telling::ServerMetadata => Payload::new(&ServerMetadataResponse::from(health::server_metadata()), None),
        Telling::ModelReady => {
            let ready = named(state, message)?.is_ready() && state.is_ready();
            Payload::new(&ModelReadyResponse { ready }, None)
        }
        Telling::ModelMetadata => {
            let metadata = health::metadata(state, &named(state, message)?.description);
            Payload::new(&ModelMetadataResponse::from(metadata), None)
        }
        Telling::ModelConfig => {
            let model = named(state, message)?;
            let config = Some(health::configuration(&model, state).into());
            Payload::new(&ModelConfigResponse { config }, None)
        }
        Telling::ModelStatistics => Payload::new(&statistics(state, message)?, None),
        Telling::RepositoryIndex => {
            let RepositoryIndexRequest { ready } = read(message)?;
            let wanted = |model: &prediction::ModelState| !ready || model.state == "READY";
            let models = repository::states(state).into_iter().filter(wanted).map(ModelIndex::from).collect();
            Payload::new(&RepositoryIndexResponse { models }, None)
        }
    };
    Ok(payload?)
}

/// Of the model that is named, or of all.
fn statistics(state: &State, message: &Bytes) -> Result<ModelStatisticsResponse, ServerError> {
    let ModelRequest { name, version } = read(message)?;
    let model_stats = if name.is_empty() {
        state.models.serving().iter().map(|model| health::statistics(model).into()).collect()
    } else {
        vec![health::statistics(&find(state, &name, &version)?.model).into()]
    };
    Ok(ModelStatisticsResponse { model_stats })
}

impl From<prediction::ServerMetadata> for ServerMetadataResponse {
    fn from(from: prediction::ServerMetadata) -> Self {
        let prediction::ServerMetadata { name, version, extensions } = from;
        Self { name, version, extensions }
    }
}

impl From<prediction::ModelMetadata> for ModelMetadataResponse {
    fn from(from: prediction::ModelMetadata) -> Self {
        let prediction::ModelMetadata { name, versions, platform, inputs, outputs, parameters: _ } = from;
        let tensors =
            |tensors: Vec<prediction::TensorMetadata>| tensors.into_iter().map(TensorMetadata::from).collect();
        Self { name, versions, platform, inputs: tensors(inputs), outputs: tensors(outputs) }
    }
}

impl From<prediction::TensorMetadata> for TensorMetadata {
    fn from(from: prediction::TensorMetadata) -> Self {
        Self { name: from.name, datatype: from.datatype.to_string(), shape: from.shape }
    }
}

/// The number of a name, which is its position; 0, which says nothing, when it has none.
fn number(names: &[&str], name: &str) -> i32 {
    names.iter().position(|known| *known == name).and_then(|at| i32::try_from(at).ok()).unwrap_or(0)
}

/// As many as the protocol can say.
fn count<N: TryInto<i32>>(n: N) -> i32 {
    n.try_into().unwrap_or(i32::MAX)
}

impl From<prediction::ModelConfig> for ModelConfig {
    fn from(from: prediction::ModelConfig) -> Self {
        let prediction::ModelConfig { name, platform, backend, .. } = from;
        let input = |tensor: prediction::TensorConfig| ModelInput {
            data_type: number(&DATA_TYPES, &tensor.data_type),
            name: tensor.name,
            dims: tensor.dims,
        };
        let output = |tensor: prediction::TensorConfig| ModelOutput {
            data_type: number(&DATA_TYPES, &tensor.data_type),
            name: tensor.name,
            dims: tensor.dims,
        };
        let group = |group: prediction::InstanceGroup| ModelInstanceGroup {
            count: count(group.count),
            kind: number(&KINDS, &group.kind),
        };
        let prediction::DynamicBatching { max_queue_delay_microseconds } = from.dynamic_batching;
        Self {
            name,
            platform,
            max_batch_size: count(from.max_batch_size),
            input: from.input.into_iter().map(input).collect(),
            output: from.output.into_iter().map(output).collect(),
            instance_group: from.instance_group.into_iter().map(group).collect(),
            dynamic_batching: Some(ModelDynamicBatching { max_queue_delay_microseconds }),
            backend,
        }
    }
}

impl From<prediction::StatisticDuration> for StatisticDuration {
    fn from(from: prediction::StatisticDuration) -> Self {
        Self { count: from.count, ns: from.ns }
    }
}

impl From<prediction::ModelStatistics> for ModelStatistics {
    fn from(from: prediction::ModelStatistics) -> Self {
        let batch = |batch: prediction::BatchStatistics| InferBatchStatistics {
            batch_size: batch.batch_size as u64,
            compute_input: Some(batch.compute_input.into()),
            compute_infer: Some(batch.compute_infer.into()),
            compute_output: Some(batch.compute_output.into()),
        };
        Self {
            name: from.name,
            version: from.version,
            last_inference: from.last_inference,
            inference_count: from.inference_count,
            execution_count: from.execution_count,
            inference_stats: Some(from.inference_stats.into()),
            batch_stats: from.batch_stats.into_iter().map(batch).collect(),
        }
    }
}

impl From<InferenceStatistics> for InferStatistics {
    fn from(from: InferenceStatistics) -> Self {
        let some = |duration: prediction::StatisticDuration| Some(duration.into());
        Self {
            success: some(from.success),
            fail: some(from.fail),
            queue: some(from.queue),
            compute_input: some(from.compute_input),
            compute_infer: some(from.compute_infer),
            compute_output: some(from.compute_output),
            cache_hit: some(from.cache_hit),
            cache_miss: some(from.cache_miss),
        }
    }
}

impl From<prediction::ModelState> for ModelIndex {
    fn from(from: prediction::ModelState) -> Self {
        let prediction::ModelState { name, version, state, reason } = from;
        Self { name, version, state, reason }
    }
}
