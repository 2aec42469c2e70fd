//! Health and metadata of the V2 protocol (Open Inference Protocol).

use actix_web::{HttpResponse, web, web::Data};
use serde::Deserialize;
use serde_json::json;

use crate::{backend::ServedModel, error::ServerError, request::WISHES, state::State};

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
    HttpResponse::Ok().json(json!({
        "name": "fovea",
        "version": env!("CARGO_PKG_VERSION"),
        "extensions": ["binary_tensor_data", "model_repository"],
    }))
}

pub(crate) async fn live() -> HttpResponse {
    HttpResponse::Ok().json(json!({ "live": true }))
}

pub(crate) async fn ready(state: Data<State>) -> Result<HttpResponse, ServerError> {
    let threads = state.stuck();
    if threads > 0 {
        return Err(ServerError::Stuck { threads, seconds: 2 * state.limits.decode_timeout });
    }
    if !state.is_ready() {
        return Err(ServerError::NotReady);
    }
    Ok(HttpResponse::Ok().json(json!({ "ready": true })))
}

pub(crate) async fn model(state: Data<State>, path: web::Path<ModelPath>) -> Result<HttpResponse, ServerError> {
    let about = &state.models[path.find(&state)?].description;
    let mut inputs = vec![json!({ "name": runtime::INPUT, "datatype": "UINT8", "shape": about.input_shape })];
    if about.takes_sizes() {
        inputs.push(json!({ "name": runtime::SIZES, "datatype": "INT64", "shape": [-1, 2] }));
    }
    let labels = about.meta.labels.len();
    let outputs = if about.meta.task.is_classification() {
        json!([{ "name": runtime::OUTPUT, "datatype": "FP32", "shape": [-1, labels] }])
    } else {
        json!([
            { "name": runtime::BOXES, "datatype": "FP32", "shape": [-1, -1, 4] },
            { "name": runtime::SCORES, "datatype": "FP32", "shape": [-1, -1] },
            { "name": runtime::LABELS, "datatype": "INT64", "shape": [-1, -1] },
        ])
    };
    let mut parameters = json!({
        "task": about.meta.task,
        "architecture": about.meta.model_name,
        "form": about.form.name(),
        "labels": about.meta.labels,
    });
    if !about.meta.task.is_classification() {
        for (wish, setting) in WISHES {
            parameters[wish] = about.settings.get(setting).unwrap_or_default();
        }
    }
    Ok(HttpResponse::Ok().json(json!({
        "name": about.name,
        "versions": [VERSION],
        "platform": "onnxruntime_onnx",
        "inputs": inputs,
        "outputs": outputs,
        "parameters": parameters,
    })))
}

pub(crate) async fn model_ready(state: Data<State>, path: web::Path<ModelPath>) -> Result<HttpResponse, ServerError> {
    let model = &state.models[path.find(&state)?];
    if !state.is_ready() || !model.is_ready() {
        return Err(ServerError::NotReady);
    }
    Ok(HttpResponse::Ok().json(json!({ "name": model.description.name, "ready": true })))
}

/// The models, in the order in which they were named. The body, which may ask for ready ones only, is not read: a model that
/// is not ready is shown as such.
pub(crate) async fn index(state: Data<State>) -> HttpResponse {
    let entry = |model: &ServedModel| {
        let (name, reason) = if model.is_ready() { ("READY", "") } else { ("UNAVAILABLE", "no worker is left") };
        json!({ "name": model.description.name, "version": VERSION, "state": name, "reason": reason })
    };
    HttpResponse::Ok().json(state.models.iter().map(entry).collect::<Vec<_>>())
}
