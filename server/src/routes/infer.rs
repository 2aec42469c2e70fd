//! V2 inference over HTTP: tensors in JSON, and the binary extension, whose bytes follow it.

use actix_web::{
    HttpRequest, HttpResponse,
    http::header,
    web::{self, Bytes, Data},
};
use schemas::prediction::{BinarySize, InferInput, InferOutput, InferRequest, InferResponse};

use super::{health::ModelPath, media_type, read_work, timings};
use crate::{
    admit::Body,
    backend::Description,
    error::ServerError,
    state::State,
    v2::{Asked, Call, Elements, Input, Parsed, Parser, Reading, Rendered, Tensor, bad},
};

const SHAPE: &str = "{\"inputs\": [{\"name\": \"images\", \"datatype\", \"shape\", \"data\"}]}";
/// Length of the JSON that the bytes of tensors follow.
const HEADER: &str = "inference-header-content-length";
/// Bytes of JSON, and of a body that is copied once, that are read in less time than another thread takes to begin.
const SHORT_JSON: usize = 4 << 10;
const SHORT_BODY: usize = 1 << 20;

pub(crate) async fn infer(
    state: Data<State>,
    path: web::Path<ModelPath>,
    request: HttpRequest,
) -> Result<HttpResponse, ServerError> {
    let found = path.find(&state)?;
    match media_type(&request)?.as_deref() {
        None | Some("application/json" | "application/octet-stream") => {}
        Some(_) => return Err(ServerError::MediaType { expected: "application/json or application/octet-stream" }),
    }
    let json_length =
        match request.headers().get(HEADER) {
            None => None,
            Some(value) => Some(value.to_str().ok().and_then(|text| text.parse::<usize>().ok()).ok_or_else(|| {
                ServerError::Request("Inference-Header-Content-Length is no whole number".to_owned())
            })?),
        };
    let body = read_work(&state, &request).await?;
    let call = Call { state, found, timings: timings(&request) };
    let reading = reading(body.bytes.len(), json_length);
    call.answer(reading, move |parser| parse(parser, body, json_length)).await?.render(render)
}

/// Where a body of so many bytes is read, of which these are JSON.
fn reading(length: usize, json_length: Option<usize>) -> Reading {
    match json_length {
        // Nothing is read.
        Some(0) => Reading::Here,
        Some(json) if json <= SHORT_JSON && length <= SHORT_BODY => Reading::Here,
        Some(_) | None => Reading::Pool,
    }
}

/// Reads a request to this model, and throws it away.
pub(crate) fn check(
    state: &State,
    about: &Description,
    body: Body,
    json_length: Option<usize>,
) -> Result<(), ServerError> {
    parse(&Parser::new(state, about), body, json_length).map(drop)
}

fn parse(parser: &Parser<'_>, body: Body, json_length: Option<usize>) -> Result<Parsed, ServerError> {
    if json_length == Some(0) {
        return parser.raw(body);
    }
    let bytes = Bytes::from(body.bytes);
    let length = json_length.unwrap_or(bytes.len());
    let Some((json, blob)) = bytes.split_at_checked(length) else {
        return bad(format!("Inference-Header-Content-Length is {length}, the body has {} bytes", bytes.len()));
    };
    let request = InferRequest::from_json(json).map_err(|e| ServerError::json(&e, SHAPE))?;
    let mut rest = bytes.slice_ref(blob);
    let inputs = request.inputs.into_iter().map(|input| input_of(input, &mut rest)).collect::<Result<_, _>>()?;
    if !rest.is_empty() {
        return bad(format!("there are {} bytes after the JSON that no input asks for", rest.len()));
    }
    let (id, parameters, outputs) = (request.id, request.parameters.unwrap_or_default(), request.outputs);
    parser.understand(Asked { id, parameters, inputs, outputs }, body.reservation)
}

/// An input, whose elements are in the JSON, or the next so many bytes after it.
fn input_of<'a>(input: InferInput<'a>, rest: &mut Bytes) -> Result<Input<'a>, ServerError> {
    let InferInput { name, datatype, shape, parameters, data } = input;
    let parameters = parameters.unwrap_or_default();
    if parameters.shared_memory_region.is_some() {
        return bad("the parameter shared_memory_region is not supported");
    }
    let elements = match (parameters.binary_data_size, data) {
        (Some(_), Some(_)) => return bad(format!("{name} has both data and binary_data_size; send one")),
        (None, None) => return bad(format!("{name} has neither data nor binary_data_size")),
        (None, Some(data)) => Elements::Json(data),
        (Some(size), None) => match usize::try_from(size) {
            Ok(size) if size <= rest.len() => Elements::Raw(rest.split_to(size)),
            Ok(_) | Err(_) => {
                return bad(format!("binary_data_size of {name} is {size}, but {} bytes follow the JSON", rest.len()));
            }
        },
    };
    Ok(Input { name, datatype, shape, elements })
}

/// The answer in JSON, with the bytes of its binary outputs after it.
fn render(answer: Rendered) -> Result<HttpResponse, ServerError> {
    let Rendered { model, version, id, tensors } = answer;
    let is_json = tensors.iter().all(|tensor| !tensor.binary);
    let mut blob = Vec::new();
    let outputs = tensors.into_iter().map(|tensor| output(tensor, &mut blob)).collect();
    let message = InferResponse { id, model_name: model, model_version: version, outputs };
    if is_json {
        return Ok(HttpResponse::Ok().json(message));
    }
    let mut body = serde_json::to_vec(&message).map_err(|_| ServerError::Internal)?;
    let json_length = body.len();
    body.append(&mut blob);
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
        .insert_header((HEADER, json_length))
        .body(body))
}

fn output(tensor: Tensor, blob: &mut Vec<u8>) -> InferOutput {
    let Tensor { name, shape, data, binary } = tensor;
    let (name, datatype) = (name.to_owned(), data.datatype());
    if !binary {
        return InferOutput { name, datatype, shape, parameters: None, data: Some(data) };
    }
    let bytes = data.to_bytes();
    blob.extend_from_slice(&bytes);
    let parameters = Some(BinarySize { binary_data_size: bytes.len() as u64 });
    InferOutput { name, datatype, shape, parameters, data: None }
}
