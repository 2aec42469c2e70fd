//! The handlers: parse, submit, render.

mod form;
pub(crate) mod health;
pub(crate) mod infer;
mod outputs;
pub(crate) mod page;
pub(crate) mod score;

use std::sync::Arc;

use actix_web::{HttpMessage, HttpRequest, http::header};

use crate::{admit::Body, error::ServerError, metrics::Timings, observe::BodyStream, state::State};

/// The request's stage times, which the middleware has put there.
pub(crate) fn timings(request: &HttpRequest) -> Arc<Timings> {
    request.extensions().get::<Arc<Timings>>().map(Arc::clone).unwrap_or_default()
}

/// Reads the request's body under the server's limits.
pub(crate) async fn read_body(state: &State, request: &HttpRequest) -> Result<Body, ServerError> {
    let stream = request.extensions().get::<BodyStream>().cloned().ok_or(ServerError::Internal)?;
    state.admission.read_body(request.headers(), stream).await
}

/// `type/subtype` of the body in lower case, without parameters; `None` when there is no such header.
pub(crate) fn media_type(request: &HttpRequest) -> Result<Option<String>, ServerError> {
    let Some(value) = request.headers().get(header::CONTENT_TYPE) else {
        return Ok(None);
    };
    let text = value.to_str().map_err(|_| ServerError::Request("the Content-Type header is not text".to_owned()))?;
    Ok(Some(text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase()))
}
