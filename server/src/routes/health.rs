//! Health and metadata of the V2 protocol (Open Inference Protocol).

use actix_web::{HttpResponse, web, web::Data};
use runtime::{OpenVinoDevice, Outputs, Placement, Provider};
use schemas::prediction::{
    BatchStatistics, Datatype, DetectionDefaults, DynamicBatching, InferenceStatistics, InstanceGroup, MASK_SIDE,
    ModelConfig, ModelExecution, ModelMetadata, ModelParameters, ModelReady, ModelStatistics, ServerLive,
    ServerMetadata, ServerReady, StatisticDuration, Statistics, TensorConfig, TensorMetadata,
};
use serde::Deserialize;

use crate::{
    backend::{Description, ServedModel},
    catalogue::Found,
    error::ServerError,
    metrics::{Stage, Total},
    providers::Running,
    state::State,
};

/// The model and version in a path.
#[derive(Deserialize)]
pub(crate) struct ModelPath {
    pub model: String,
    pub version: Option<String>,
}

impl ModelPath {
    /// What answers requests for it.
    pub(crate) fn find(&self, state: &State) -> Result<Found, ServerError> {
        state.models.find(Some(&self.model), self.version.as_deref())
    }
}

pub(crate) async fn server() -> HttpResponse {
    HttpResponse::Ok().json(server_metadata())
}

/// What the server says about itself.
pub(crate) fn server_metadata() -> ServerMetadata {
    ServerMetadata {
        name: "fovea".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: ["binary_tensor_data", "classification", "model_configuration", "model_repository", "statistics"]
            .map(str::to_owned)
            .to_vec(),
    }
}

pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(ServerLive { live: true })
}

pub(crate) async fn ready(state: Data<State>) -> Result<HttpResponse, ServerError> {
    let threads = state.stuck();
    if threads > 0 {
        return Err(ServerError::Stuck { threads, seconds: 2 * state.limits.decode_timeout });
    }
    if !state.is_ready() {
        return Err(ServerError::NotReady);
    }
    Ok(HttpResponse::Ok().json(ServerReady { ready: true }))
}

pub(crate) async fn model(state: Data<State>, path: web::Path<ModelPath>) -> Result<HttpResponse, ServerError> {
    Ok(HttpResponse::Ok().json(metadata(&state, &path.find(&state)?.model.description)))
}

pub(crate) fn metadata(state: &State, about: &Description) -> ModelMetadata {
    let entry = state.models.entry(&about.name).unwrap_or_default();
    let tensor = |name: &str, datatype: Datatype, shape: &[i64]| TensorMetadata {
        name: name.to_owned(),
        datatype,
        shape: shape.to_vec(),
    };
    let mut inputs = vec![tensor(runtime::INPUT, Datatype::Uint8, &about.input_shape)];
    if about.takes_sizes() {
        inputs.push(tensor(runtime::SIZES, Datatype::Int64, &[-1, 2]));
    }
    let labels = i64::try_from(about.meta.labels.len()).unwrap_or(-1);
    let (outputs, detection) = match about.outputs {
        Outputs::Probabilities => (vec![tensor(runtime::OUTPUT, Datatype::Fp32, &[-1, labels])], None),
        outputs @ (Outputs::Boxes | Outputs::Masks) => {
            let mut tensors = vec![
                tensor(runtime::BOXES, Datatype::Fp32, &[-1, -1, 4]),
                tensor(runtime::SCORES, Datatype::Fp32, &[-1, -1]),
                tensor(runtime::LABELS, Datatype::Int64, &[-1, -1]),
            ];
            if outputs == Outputs::Masks {
                let side = MASK_SIDE as i64;
                tensors.push(tensor(runtime::MASKS, Datatype::Fp32, &[-1, -1, side, side]));
            }
            (tensors, Some(DetectionDefaults::from(&about.settings)))
        }
    };
    ModelMetadata {
        name: about.name.clone(),
        versions: entry.all_serving().map(|model| model.description.version.to_string()).collect(),
        platform: "onnxruntime_onnx".to_owned(),
        inputs,
        outputs,
        parameters: ModelParameters {
            task: about.meta.task,
            architecture: about.meta.model_name.clone(),
            form: about.form,
            labels: about.meta.labels.clone(),
            execution: execution(&about.running),
            label_threshold: about.label_threshold(),
            detection,
        },
    }
}

fn execution(running: &Running) -> ModelExecution {
    ModelExecution {
        provider: running.execution.provider.to_string(),
        instead_of: running.instead_of.map(|wanted| wanted.to_string()),
        nodes: running.placement.as_ref().map(Placement::nodes),
        batch_sizes: running.batch_sizes(),
        cuda_graphs: running.execution.graphs,
    }
}

pub(crate) async fn model_ready(state: Data<State>, path: web::Path<ModelPath>) -> Result<HttpResponse, ServerError> {
    let Found { model, .. } = path.find(&state)?;
    if !state.is_ready() || !model.is_ready() {
        return Err(ServerError::NotReady);
    }
    Ok(HttpResponse::Ok().json(ModelReady { name: model.description.name.clone(), ready: true }))
}

/// How a model is set up, in the words of Triton, whose clients ask before they send anything.
pub(crate) async fn config(state: Data<State>, path: web::Path<ModelPath>) -> Result<HttpResponse, ServerError> {
    Ok(HttpResponse::Ok().json(configuration(&path.find(&state)?.model, &state)))
}

/// The same without HTTP.
pub(crate) fn configuration(model: &ServedModel, state: &State) -> ModelConfig {
    let metadata = metadata(state, &model.description);
    // What stands before the first side is the number of images.
    let tensor = |tensor: TensorMetadata| TensorConfig {
        name: tensor.name,
        data_type: format!("TYPE_{}", tensor.datatype.as_str()),
        dims: tensor.shape.into_iter().skip(1).collect(),
    };
    let kind = match model.description.running.execution.provider {
        Provider::Cpu | Provider::OpenVino { device: OpenVinoDevice::Cpu } => "KIND_CPU",
        Provider::Cuda { .. } | Provider::TensorRt { .. } | Provider::OpenVino { device: OpenVinoDevice::Gpu } => {
            "KIND_GPU"
        }
        // Triton has no word for it; this one says that the model knows.
        Provider::OpenVino { device: OpenVinoDevice::Npu } => "KIND_MODEL",
    };
    ModelConfig {
        name: metadata.name,
        platform: metadata.platform,
        backend: "onnxruntime".to_owned(),
        max_batch_size: state.limits.max_batch,
        input: metadata.inputs.into_iter().map(tensor).collect(),
        output: metadata.outputs.into_iter().map(tensor).collect(),
        instance_group: vec![InstanceGroup { kind: kind.to_owned(), count: model.workers() }],
        dynamic_batching: DynamicBatching { max_queue_delay_microseconds: 0 },
    }
}

pub(crate) async fn stats(state: Data<State>, path: web::Path<ModelPath>) -> Result<HttpResponse, ServerError> {
    let model_stats = vec![statistics(&path.find(&state)?.model)];
    Ok(HttpResponse::Ok().json(Statistics { model_stats }))
}

pub(crate) async fn all_stats(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok()
        .json(Statistics { model_stats: state.models.serving().iter().map(|model| statistics(model)).collect() })
}

pub(crate) fn statistics(model: &ServedModel) -> ModelStatistics {
    let duration = |total: Total| StatisticDuration { count: total.count, ns: total.nanoseconds };
    let metrics = &model.metrics;
    let [success, fail] = metrics.requests().map(duration);
    let stage = |stage: Stage| duration(metrics.stage(stage));
    let (decode, prepare) = (stage(Stage::Decode), stage(Stage::Prepare));
    let batches = metrics.batches();
    let batch = |&(batch_size, total): &(usize, Total)| BatchStatistics {
        batch_size,
        compute_input: StatisticDuration::default(),
        compute_infer: duration(total),
        compute_output: StatisticDuration::default(),
    };
    ModelStatistics {
        name: model.description.name.clone(),
        version: model.description.version.to_string(),
        last_inference: metrics.last(),
        inference_count: metrics.images(),
        execution_count: batches.iter().map(|(_, total)| total.count).sum(),
        inference_stats: InferenceStatistics {
            success,
            fail,
            queue: stage(Stage::Queue),
            compute_input: StatisticDuration { count: decode.count.max(prepare.count), ns: decode.ns + prepare.ns },
            compute_infer: stage(Stage::Run),
            compute_output: stage(Stage::Render),
            ..InferenceStatistics::default()
        },
        batch_stats: batches.iter().map(batch).collect(),
    }
}
