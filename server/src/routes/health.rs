//! Health and metadata of the V2 protocol (Open Inference Protocol).

use actix_web::{HttpResponse, web, web::Data};
use runtime::{Outputs, Placement};
use schemas::prediction::{
    Datatype, DetectionDefaults, MASK_SIDE, ModelExecution, ModelMetadata, ModelParameters, ModelReady, ModelState,
    ServerLive, ServerMetadata, ServerReady, TensorMetadata,
};
use schemas::{CheckpointMeta, Labels, Settings};
use serde::Deserialize;

use crate::{
    backend::{Description, ServedModel},
    error::ServerError,
    providers::Running,
    state::State,
};

/// The only version that a model has.
pub(crate) const VERSION: &str = "1";

/// The model and version in a path.
#[derive(Deserialize)]
pub(crate) struct ModelPath {
    pub model: String,
    pub version: Option<String>,
}

impl ModelPath {
    /// Position of the model in [`State::models`].
    pub(crate) fn find(&self, state: &State) -> Result<usize, ServerError> {
        if self.version.as_deref().is_some_and(|v| v != VERSION) {
            return Err(ServerError::UnknownModel);
        }
        state.models.iter().position(|m| m.description.name == self.model).ok_or(ServerError::UnknownModel)
    }
}

pub(crate) async fn server() -> HttpResponse {
    HttpResponse::Ok().json(ServerMetadata {
        name: "fovea".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        extensions: vec!["binary_tensor_data".to_owned(), "model_repository".to_owned()],
    })
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
    Ok(HttpResponse::Ok().json(metadata(&state.models[path.find(&state)?].description)))
}

fn metadata(about: &Description) -> ModelMetadata {
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
        versions: vec![VERSION.to_owned()],
        platform: "onnxruntime_onnx".to_owned(),
        inputs,
        outputs,
        parameters: ModelParameters {
            task: about.meta.task,
            architecture: about.meta.model_name.clone(),
            form: about.form,
            labels: about.meta.labels.clone(),
            execution: execution(&about.running),
            label_threshold: label_threshold(&about.meta),
            detection,
        },
    }
}

/// The probability above which a label of a set is meant: the file's, or the usual one of files that do not say.
fn label_threshold(meta: &CheckpointMeta) -> Option<f64> {
    match meta.task.labels() {
        Labels::Classes => {
            let own = meta.settings.get("label_threshold").and_then(serde_json::Value::as_f64);
            Some(own.unwrap_or(Settings::default().label_threshold))
        }
        Labels::Class | Labels::Boxes | Labels::Outlines => None,
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
    let model = &state.models[path.find(&state)?];
    if !state.is_ready() || !model.is_ready() {
        return Err(ServerError::NotReady);
    }
    Ok(HttpResponse::Ok().json(ModelReady { name: model.description.name.clone(), ready: true }))
}

/// The models, in the order in which they were named. The body, which may ask for ready ones only, is not read: a model that
/// is not ready is shown as such.
pub(crate) async fn index(state: Data<State>) -> HttpResponse {
    let entry = |model: &ServedModel| {
        let (state, reason) = if model.is_ready() { ("READY", "") } else { ("UNAVAILABLE", "no worker is left") };
        let (name, version) = (model.description.name.clone(), VERSION.to_owned());
        ModelState { name, version, state: state.to_owned(), reason: reason.to_owned() }
    };
    HttpResponse::Ok().json(state.models.iter().map(entry).collect::<Vec<_>>())
}
