//! The handlers: parse, submit, render.

mod form;
pub(crate) mod health;
pub(crate) mod infer;
pub(crate) mod page;
pub(crate) mod repository;
pub(crate) mod score;
pub(crate) mod viewer;

use std::sync::Arc;

use actix_web::{HttpMessage, HttpRequest, http::header, web::Data};

use crate::{admit::Body, coding::Coding, error::ServerError, metrics::Timings, observe::BodyStream, state::State};

/// The request's stage times, which the middleware has put there.
pub(crate) fn timings(request: &HttpRequest) -> Arc<Timings> {
    request.extensions().get::<Arc<Timings>>().map(Arc::clone).unwrap_or_default()
}

fn stream(request: &HttpRequest) -> Result<BodyStream, ServerError> {
    request.extensions().get::<BodyStream>().cloned().ok_or(ServerError::Internal)
}

/// Reads the body of a request that needs a permit; without room for one it is refused.
pub(crate) async fn read_work(state: &Data<State>, request: &HttpRequest) -> Result<Body, ServerError> {
    if state.admission.is_full() {
        return Err(state.admission.turn_away(request.headers(), stream(request)?).await);
    }
    read_body(state, request).await
}

/// Reads the request's body under the server's limits, which hold for what is compressed and for what it becomes.
pub(crate) async fn read_body(state: &Data<State>, request: &HttpRequest) -> Result<Body, ServerError> {
    let coding = Coding::of(request.headers())?;
    let stream = stream(request)?;
    let body = state.admission.read_body(request.headers(), stream).await?;
    if coding == Coding::Identity {
        return Ok(body);
    }
    let shared = state.clone();
    let limit = state.limits.body_bytes();
    state.pool.run(move || shared.admission.undo(&body, coding, limit)?.filled()).await
}

/// `type/subtype` of the body in lower case, without parameters; `None` when there is no such header.
pub(crate) fn media_type(request: &HttpRequest) -> Result<Option<String>, ServerError> {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| ServerError::Request("the Content-Type header is not text".to_owned()))?;
    Ok(Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()))
}
