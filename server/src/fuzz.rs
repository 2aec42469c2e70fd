//! The parsers of requests, for `scripts/fuzz`: bytes in, and whether they are taken. For no other use.

use crate::{
    admit::Body,
    coding::Coding,
    error::ServerError,
    routes::{infer, score},
    state::State,
};

/// A body of a server, as if it had arrived.
fn body(state: &State, bytes: &[u8]) -> Result<Body, ServerError> {
    let reservation = state.admission.budget.reserve(bytes.len() as u64)?;
    Ok(Body { bytes: bytes.to_vec(), reservation })
}

/// The JSON of `/score`.
#[must_use]
pub fn score(state: &State, json: &[u8]) -> bool {
    score::check_json(json, state).is_ok()
}

/// The query string of `/score`.
#[must_use]
pub fn query(text: &str) -> bool {
    score::check_query(text).is_ok()
}

/// A form for `/score`.
#[must_use]
pub fn form(state: &State, form: &[u8], boundary: &str) -> bool {
    body(state, form).and_then(|body| score::check_form(body, boundary, state)).is_ok()
}

/// Base64, as it stands in JSON.
#[must_use]
pub fn base64(state: &State, text: &str) -> bool {
    let reservation = state.admission.budget.reserve(0);
    let decode = |mut held| score::decode_base64(0, text, &state.admission.budget, &mut held);
    reservation.and_then(decode).is_ok()
}

/// A V2 request to the model of this position: so many bytes of JSON, all if it is not said, and what follows them.
#[must_use]
pub fn infer(state: &State, model: usize, bytes: &[u8], json_length: Option<usize>) -> bool {
    let models = state.models.serving();
    let check = |body| infer::check(state, &models[model].description, body, json_length);
    body(state, bytes).and_then(check).is_ok()
}

/// A body that is compressed with gzip or, if not, with deflate.
#[must_use]
pub fn unpack(state: &State, bytes: &[u8], gzip: bool) -> bool {
    let coding = if gzip { Coding::Gzip } else { Coding::Deflate };
    body(state, bytes).and_then(|body| state.admission.undo(&body, coding, state.limits.body_bytes())).is_ok()
}
