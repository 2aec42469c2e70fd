//! V2 inference: JSON tensors and the binary extension. The input `images` is either UINT8 `[N, H, W, 3]`, as the model file
//! declares it, or BYTES `[N]`: N encoded images of any size, decoded and prepared by the server (in JSON as base64).

use std::{borrow::Cow, sync::Arc};

use actix_web::{HttpRequest, HttpResponse, http::header, web, web::Data};
use ndarray::{Array2, Array4};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

use super::{
    health::{ModelPath, VERSION},
    media_type, read_body,
    score::decode_base64,
    tensor, timings,
};
use crate::{
    admit::{Body, Reservation},
    backend::Description,
    error::ServerError,
    metrics::Stage,
    prepare::{Work, check_elongation},
    state::State,
};

const HEADER: &str = "inference-header-content-length";
const SHAPE: &str = "{\"inputs\": [{\"name\": \"images\", \"datatype\", \"shape\", \"data\"}]}";

pub(crate) async fn infer(
    state: Data<State>,
    path: web::Path<ModelPath>,
    request: HttpRequest,
) -> Result<HttpResponse, ServerError> {
    let model = path.find(&state)?;
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
    let body = read_body(&state, &request).await?;
    let place = state.admission.enter()?;
    let work = Work { state: state.clone(), model, timings: timings(&request), place };
    let parsed = {
        let (shared, times, place) = (state.clone(), Arc::clone(&work.timings), work.place.clone());
        let parsed = state.pool.run(move || {
            let _place = place;
            let parser = Parser { state: &shared, about: &shared.models[model].description };
            times.time(Stage::Decode, || parser.parse(body, json_length))
        });
        parsed.await?
    };
    let jobs = match parsed.images {
        Images::Encoded(images, _reservation) => work.batches(work.prepare(images).await?)?,
        Images::Tensor(images, reservation) => work.split(images, reservation),
    };
    let probabilities = state.infer_all(work.model(), jobs).await?;
    let name = &work.model().description.name;
    work.timings.time(Stage::Render, || render(name, parsed.id, parsed.binary, &probabilities))
}

enum Images {
    /// Files, to be decoded.
    Encoded(Vec<Vec<u8>>, Reservation),
    /// Pixels, as the model takes them.
    Tensor(Array4<u8>, Reservation),
}

struct Parsed {
    id: Option<String>,
    images: Images,
    /// Whether the answer's tensor follows its JSON as bytes.
    binary: bool,
}

#[derive(Deserialize)]
struct Request<'a> {
    id: Option<String>,
    parameters: Option<Parameters>,
    #[serde(borrow)]
    inputs: &'a RawValue,
    #[serde(borrow)]
    outputs: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Input<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    datatype: Cow<'a, str>,
    #[serde(borrow)]
    shape: &'a RawValue,
    parameters: Option<Parameters>,
    #[serde(borrow)]
    data: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct Output<'a> {
    #[serde(borrow)]
    name: Cow<'a, str>,
    parameters: Option<Parameters>,
}

/// The parameters that have an effect. Others are the protocol's and have none here, except those that would change the
/// answer's form, which are refused.
#[derive(Deserialize, Default)]
struct Parameters {
    binary_data: Option<bool>,
    binary_data_output: Option<bool>,
    binary_data_size: Option<u64>,
    classification: Option<u64>,
    shared_memory_region: Option<String>,
}

#[derive(Serialize)]
struct Answer<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    model_name: &'a str,
    model_version: &'static str,
    outputs: [AnswerOutput<'a>; 1],
}

#[derive(Serialize)]
struct AnswerOutput<'a> {
    name: &'static str,
    datatype: &'static str,
    shape: [usize; 2],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<AnswerSize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a [f32]>,
}

#[derive(Serialize)]
struct AnswerSize {
    binary_data_size: usize,
}

fn bad<T>(text: impl Into<String>) -> Result<T, ServerError> {
    Err(ServerError::Request(text.into()))
}

struct Parser<'s> {
    state: &'s State,
    about: &'s Description,
}

impl Parser<'_> {
    fn parse(&self, body: Body, json_length: Option<usize>) -> Result<Parsed, ServerError> {
        let Body { bytes, reservation } = body;
        if json_length == Some(0) {
            // The protocol's raw request: the body is the one element of the one input.
            return Ok(Parsed { id: None, images: Images::Encoded(vec![bytes], reservation), binary: true });
        }
        let length = json_length.unwrap_or(bytes.len());
        let Some((json, blob)) = bytes.split_at_checked(length) else {
            return bad(format!("Inference-Header-Content-Length is {length}, the body has {} bytes", bytes.len()));
        };
        let request: Request<'_> = serde_json::from_slice(json).map_err(|e| ServerError::json(&e, SHAPE))?;
        if request.id.as_ref().is_some_and(|id| id.len() > 256) {
            return bad("id has more than 256 bytes");
        }
        let inputs: Result<(Input<'_>,), _> = serde_json::from_str(request.inputs.get());
        let Ok((input,)) = inputs else {
            return bad(format!("inputs must hold one tensor, of the form {SHAPE}"));
        };
        if input.name != runtime::INPUT {
            return bad("the model has one input, its name is images");
        }
        let binary = self.wants_binary(&request)?;
        let images = self.images(&input, blob, reservation)?;
        Ok(Parsed { id: request.id, images, binary })
    }

    fn wants_binary(&self, request: &Request<'_>) -> Result<bool, ServerError> {
        let all = request.parameters.as_ref().and_then(|p| p.binary_data_output).unwrap_or(false);
        let Some(outputs) = request.outputs else {
            return Ok(all);
        };
        let outputs: Result<(Output<'_>,), _> = serde_json::from_str(outputs.get());
        match outputs {
            Ok((output,)) if output.name == runtime::OUTPUT => {
                let parameters = output.parameters.unwrap_or_default();
                if parameters.classification.is_some() || parameters.shared_memory_region.is_some() {
                    return bad("the parameters classification and shared_memory_region are not supported");
                }
                Ok(parameters.binary_data.unwrap_or(all))
            }
            _ => bad("outputs, when given, must be [{\"name\": \"probabilities\"}]"),
        }
    }

    fn images(&self, input: &Input<'_>, blob: &[u8], mut reservation: Reservation) -> Result<Images, ServerError> {
        let parameters = input.parameters.as_ref();
        if parameters.is_some_and(|p| p.shared_memory_region.is_some()) {
            return bad("the parameter shared_memory_region is not supported");
        }
        let size = parameters.and_then(|p| p.binary_data_size);
        let binary = match (size, input.data) {
            (Some(_), Some(_)) => return bad("images has both data and binary_data_size; send one"),
            (None, None) => return bad("images has neither data nor binary_data_size"),
            (None, Some(_)) if !blob.is_empty() => return bad("there are bytes after the JSON that no input asks for"),
            (Some(size), None) if size != blob.len() as u64 => {
                return bad(format!("binary_data_size is {size}, but {} bytes follow the JSON", blob.len()));
            }
            (Some(_), None) => None,
            (None, Some(data)) => Some(data),
        };
        match (&*input.datatype, binary) {
            ("UINT8", data) => {
                let shape = self.shape::<4>(input)?;
                let count = self.check_tensor(shape)?;
                let values = match data {
                    Some(json) => {
                        reservation.absorb(self.state.admission.budget.reserve(count as u64)?);
                        tensor::bytes(json.get(), count)?
                    }
                    None if blob.len() != count => {
                        return bad(format!("the data hold {} bytes, the shape says {count}", blob.len()));
                    }
                    None => blob.to_vec(),
                };
                let images = Array4::from_shape_vec(shape, values).map_err(|_| ServerError::Internal)?;
                Ok(Images::Tensor(images, reservation))
            }
            ("BYTES", data) => {
                let [n] = self.shape::<1>(input)?;
                self.check_count(n)?;
                let images = match data {
                    Some(json) => tensor::texts(json.get(), self.state.limits.max_images, "data of images")?
                        .iter()
                        .enumerate()
                        .map(|(i, text)| decode_base64(i, text, &self.state.admission.budget, &mut reservation))
                        .collect::<Result<Vec<_>, _>>()?,
                    None => elements(blob, n)?,
                };
                if images.len() != n {
                    return bad(format!("the data hold {} elements, the shape says {n}", images.len()));
                }
                Ok(Images::Encoded(images, reservation))
            }
            _ => bad("datatype of images must be UINT8 (pixels) or BYTES (encoded images)"),
        }
    }

    fn shape<const RANK: usize>(&self, input: &Input<'_>) -> Result<[usize; RANK], ServerError>
    where
        [usize; RANK]: for<'a> Deserialize<'a>,
    {
        serde_json::from_str(input.shape.get()).map_err(|_| {
            ServerError::Request(format!(
                "shape of images must be {RANK} whole numbers: [N, H, W, 3] for UINT8, [N] for BYTES"
            ))
        })
    }

    fn check_count(&self, n: usize) -> Result<(), ServerError> {
        let limit = self.state.limits.max_images;
        if n as u64 > limit {
            return Err(ServerError::TooManyImages { given: n as u64, limit });
        }
        Ok(())
    }

    /// Number of values of a tensor that the model takes and the limits allow.
    fn check_tensor(&self, shape: [usize; 4]) -> Result<usize, ServerError> {
        let [n, h, w, c] = shape;
        self.check_count(n)?;
        let declared = self.about.input_shape;
        let fits = shape.iter().zip(declared).all(|(&given, want)| want < 0 || i64::try_from(given) == Ok(want));
        if !fits || c != 3 || h == 0 || w == 0 {
            return bad(format!(
                "shape of images is {shape:?}, the model takes {declared:?} (-1: any length of at least 1)"
            ));
        }
        let limits = &self.state.limits;
        let sides = u32::try_from(w).ok().zip(u32::try_from(h).ok());
        let Some((width, height)) = sides.filter(|&(w, h)| w <= limits.max_side && h <= limits.max_side) else {
            let reason = format!("{w}x{h} pixels, the limit is {} a side", limits.max_side);
            return Err(ServerError::ImageTooLarge { index: 0, reason });
        };
        if u64::from(width) * u64::from(height) > limits.max_pixels {
            let reason = format!("{w}x{h} pixels, the limit is {} in all", limits.max_pixels);
            return Err(ServerError::ImageTooLarge { index: 0, reason });
        }
        check_elongation(0, width, height, limits.max_pixels, self.about)?;
        let count = [n, h, w, c].iter().try_fold(1usize, |product, &length| product.checked_mul(length));
        match count.filter(|&count| count as u64 <= limits.body_bytes()) {
            Some(count) => Ok(count),
            None => Err(ServerError::BodyTooLarge { limit: limits.body_bytes() }),
        }
    }
}

/// BYTES in binary form: each element is a little-endian 32-bit length and as many bytes.
fn elements(mut blob: &[u8], n: usize) -> Result<Vec<Vec<u8>>, ServerError> {
    let mut found = Vec::with_capacity(n);
    while !blob.is_empty() {
        let Some((length, rest)) = blob.split_first_chunk::<4>() else {
            return bad("the data end within the length of an element");
        };
        let length = u32::from_le_bytes(*length) as usize;
        let Some((element, rest)) = rest.split_at_checked(length) else {
            return bad(format!("element {} says {length} bytes, {} are left", found.len(), rest.len()));
        };
        if found.len() == n {
            return bad(format!("the data hold more elements than the {n} that the shape says"));
        }
        found.push(element.to_vec());
        blob = rest;
    }
    Ok(found)
}

fn render(
    name: &str,
    id: Option<String>,
    binary: bool,
    probabilities: &Array2<f32>,
) -> Result<HttpResponse, ServerError> {
    let values = probabilities.as_slice().ok_or(ServerError::Internal)?;
    let size = size_of_val(values);
    let output = AnswerOutput {
        name: runtime::OUTPUT,
        datatype: "FP32",
        shape: [probabilities.nrows(), probabilities.ncols()],
        parameters: binary.then_some(AnswerSize { binary_data_size: size }),
        data: (!binary).then_some(values),
    };
    let answer = Answer { id, model_name: name, model_version: VERSION, outputs: [output] };
    if !binary {
        return Ok(HttpResponse::Ok().json(answer));
    }
    let mut body = serde_json::to_vec(&answer).map_err(|_| ServerError::Internal)?;
    let json_length = body.len();
    body.reserve_exact(size);
    values.iter().for_each(|value| body.extend_from_slice(&value.to_le_bytes()));
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
        .insert_header((HEADER, json_length))
        .body(body))
}
