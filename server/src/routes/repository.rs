//! The models that there are, and clients that load and unload them, in the words of the V2 protocol's extension.

use actix_web::{HttpRequest, HttpResponse, web, web::Data};
use schemas::prediction::{LoadParameters, LoadRequest, ModelState};

use super::{health::ModelPath, read_body};
use crate::{catalogue::Status, error::ServerError, state::State};

const SHAPE: &str = "{\"parameters\": {}}";

/// The versions of every model, in the order in which they were named. The body, which may ask for ready ones only, is not read: what is
/// not ready is shown as such.
pub(crate) async fn index(state: Data<State>) -> HttpResponse {
    HttpResponse::Ok().json(states(&state))
}

/// The same without HTTP.
pub(crate) fn states(state: &State) -> Vec<ModelState> {
    let of_version = |name: &str, version: u64, status: &Status| {
        let (state, reason) = match status {
            Status::Serving(model) if model.is_ready() => ("READY", ""),
            Status::Serving(_) => ("UNAVAILABLE", "no worker is left, or one is stuck"),
            Status::Loading => ("LOADING", ""),
            Status::Unloading => ("UNLOADING", "requests are still answered"),
            Status::Unavailable(reason) => ("UNAVAILABLE", reason.as_str()),
        };
        ModelState {
            name: name.to_owned(),
            version: version.to_string(),
            state: state.to_owned(),
            reason: reason.to_owned(),
        }
    };
    let mut states = Vec::new();
    for (name, entry) in state.models.entries() {
        states.extend(entry.versions.iter().map(|(&version, status)| of_version(&name, version, status)));
    }
    states
}

/// Loads the newest of a model, and answers when it is served.
pub(crate) async fn load(
    state: Data<State>,
    path: web::Path<ModelPath>,
    request: HttpRequest,
) -> Result<HttpResponse, ServerError> {
    let parameters = parameters(&state, &request).await?;
    if parameters.config.is_some() || !parameters.files.is_empty() {
        return Err(ServerError::other_files());
    }
    state.load(&path.model).await?;
    Ok(HttpResponse::Ok().finish())
}

/// Takes a model from service. Requests that have it are answered.
pub(crate) async fn unload(
    state: Data<State>,
    path: web::Path<ModelPath>,
    request: HttpRequest,
) -> Result<HttpResponse, ServerError> {
    // Models that others depend on are none of ours, so that what it says of them changes nothing.
    parameters(&state, &request).await?;
    state.unload(&path.model).await?;
    Ok(HttpResponse::Ok().finish())
}

async fn parameters(state: &Data<State>, request: &HttpRequest) -> Result<LoadParameters, ServerError> {
    let body = match read_body(state, request).await {
        Ok(body) => body,
        Err(ServerError::EmptyBody) => return Ok(LoadParameters::default()),
        Err(error) => return Err(error),
    };
    let parse = move || serde_json::from_slice(&body.bytes).map_err(|error| ServerError::json(&error, SHAPE));
    let request: LoadRequest = state.pool.run(parse).await?;
    Ok(request.parameters.unwrap_or_default())
}
