//! V2 inference: JSON tensors and the binary extension. The input `images` is either UINT8 `[N, H, W, 3]`, as the model file
//! declares it (with INT64 `sizes` `[N, 2]` where it declares those), or BYTES `[N]`: N encoded images of any size, decoded and
//! prepared by the server (in JSON as base64).

use std::sync::Arc;

use actix_web::{HttpRequest, HttpResponse, web, web::Data};
use ndarray::Array4;
use runtime::Form;
use schemas::prediction::{
    Datatype, DetectionOptions, DetectionSettings, InferInput, InferRequest, MAX_ID_LENGTH, MAX_IMAGES, OptionOf,
    RequestedOutput, TensorData,
};

use super::{
    health::ModelPath,
    media_type,
    outputs::{self, HEADER, SelectedOutput},
    read_body,
    score::decode_base64,
    timings,
};
use crate::{
    admit::{Body, Reservation},
    backend::Description,
    error::ServerError,
    metrics::Stage,
    prepare::{Pixels, Size, Work, check_inside},
    request::RequestOptions,
    state::State,
};

const SHAPE: &str = "{\"inputs\": [{\"name\": \"images\", \"datatype\", \"shape\", \"data\"}]}";

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
    let body = read_body(&state, &request).await?;
    let permit = state.admission.enter()?;
    let mut work = Work::new(state.clone(), found, timings(&request), permit);
    let parsed = {
        let (shared, model) = (state.clone(), Arc::clone(&work.model));
        let (times, permit) = (Arc::clone(&work.timings), work.permit.clone());
        let parsed = state.pool.run(move || {
            let _permit = permit;
            let parser = Parser { state: &shared, about: &model.description };
            times.time(Stage::Decode, || parser.parse(body, json_length))
        });
        parsed.await?
    };
    let Parsed { id, images, outputs, options, timeout } = parsed;
    work.hurry(timeout);
    let predicted = async {
        match images {
            Images::Encoded(images, _reservation) => Ok(work.predict(images, options).await?.predictions),
            Images::Tensor(pixels) => work.predict_pixels(pixels, options.thresholds).await,
        }
    };
    let predictions = work.in_time(predicted).await?;
    work.timings.time(Stage::Render, || outputs::render(&work.model.description, id, &outputs, predictions))
}

enum Images {
    /// Files, to be decoded.
    Encoded(Vec<Vec<u8>>, Reservation),
    /// Pixels, as the model takes them.
    Tensor(Pixels),
}

struct Parsed {
    id: Option<String>,
    images: Images,
    outputs: Vec<SelectedOutput>,
    options: RequestOptions,
    /// Microseconds for the answer; 0 where the client does not say.
    timeout: u64,
}

fn bad<T>(text: impl Into<String>) -> Result<T, ServerError> {
    Err(ServerError::Request(text.into()))
}

struct Parser<'s> {
    state: &'s State,
    about: &'s Description,
}

/// The elements of an input.
enum Elements<'a> {
    Json(TensorData<'a>),
    Bytes(&'a [u8]),
}

impl Parser<'_> {
    fn parse(&self, body: Body, json_length: Option<usize>) -> Result<Parsed, ServerError> {
        let Body { bytes, reservation } = body;
        if json_length == Some(0) {
            // The protocol's raw request: the body is the one element of the one input.
            let images = Images::Encoded(vec![bytes], reservation);
            let outputs = SelectedOutput::all(self.about.outputs, true);
            let options = RequestOptions::new(&DetectionOptions::default(), self.about)?;
            return Ok(Parsed { id: None, images, outputs, options, timeout: 0 });
        }
        let length = json_length.unwrap_or(bytes.len());
        let Some((json, blob)) = bytes.split_at_checked(length) else {
            return bad(format!("Inference-Header-Content-Length is {length}, the body has {} bytes", bytes.len()));
        };
        let request = InferRequest::from_json(json).map_err(|e| ServerError::json(&e, SHAPE))?;
        if request.id.as_ref().is_some_and(|id| id.chars().count() > MAX_ID_LENGTH) {
            return bad(format!("id has more than {MAX_ID_LENGTH} characters"));
        }
        let parameters = request.parameters.unwrap_or_default();
        let outputs = self.outputs(parameters.binary_data_output.unwrap_or(false), request.outputs)?;
        let timeout = parameters.timeout.unwrap_or(0);
        let detection = parameters.detection();
        let options = RequestOptions::new(&detection, self.about)?;
        let images = self.inputs(&request.inputs, blob, reservation)?;
        match (&images, detection.given().find(|option| option.of == OptionOf::Tiles)) {
            (Images::Tensor(_), Some(option)) => {
                bad(format!("{} is for encoded images (BYTES): pixels are run as they come", option.name))
            }
            (Images::Tensor(_), None) | (Images::Encoded(..), _) => {
                Ok(Parsed { id: request.id, images, outputs, options, timeout })
            }
        }
    }

    /// The outputs that are asked for, in the order in which they are; all of them when nothing is said.
    fn outputs(
        &self,
        all_binary: bool,
        requested: Option<Vec<RequestedOutput<'_>>>,
    ) -> Result<Vec<SelectedOutput>, ServerError> {
        let all = SelectedOutput::all(self.about.outputs, all_binary);
        let Some(requested) = requested else {
            return Ok(all);
        };
        let names: Vec<&str> = all.iter().map(|output| output.name).collect();
        let expected = || ServerError::Request(format!("outputs, when given, must name some of {}", names.join(", ")));
        let mut selected: Vec<SelectedOutput> = Vec::new();
        for output in requested {
            let parameters = output.parameters.unwrap_or_default();
            if parameters.classification.is_some() || parameters.shared_memory_region.is_some() {
                return bad("the parameters classification and shared_memory_region are not supported");
            }
            let known = all.iter().map(|known| known.name).find(|name| *name == output.name).ok_or_else(expected)?;
            if selected.iter().any(|other| other.name == known) {
                return bad(format!("outputs name {known} twice"));
            }
            selected.push(SelectedOutput { name: known, binary: parameters.binary_data.unwrap_or(all_binary) });
        }
        // None named is as good as none said.
        Ok(if selected.is_empty() { all } else { selected })
    }

    fn inputs(&self, inputs: &[InferInput<'_>], blob: &[u8], reservation: Reservation) -> Result<Images, ServerError> {
        let (mut images, mut sizes, mut rest) = (None, None, blob);
        for input in inputs {
            let name = &*input.name;
            let place = match name {
                runtime::INPUT => &mut images,
                runtime::SIZES if self.about.takes_sizes() => &mut sizes,
                _ if self.about.takes_sizes() => return bad("the model's inputs are named images and sizes"),
                _ => return bad("the model has one input, its name is images"),
            };
            if place.replace((input, elements_of(input, &mut rest)?)).is_some() {
                return bad(format!("inputs hold {name} twice"));
            }
        }
        if !rest.is_empty() {
            return bad(format!("there are {} bytes after the JSON that no input asks for", rest.len()));
        }
        let Some((input, elements)) = images else {
            return bad("inputs must hold images");
        };
        match (input.datatype, sizes) {
            (Datatype::Uint8, sizes) => {
                let mut pixels = self.pixels(input, &elements, reservation)?;
                pixels.sizes = match sizes {
                    Some((input, elements)) => Some(self.sizes(input, &elements, pixels.images.dim().0)?),
                    None if self.about.takes_sizes() => {
                        return bad(
                            "with pixels the model needs sizes, INT64 [N, 2]: height and width of each original",
                        );
                    }
                    None => None,
                };
                Ok(Images::Tensor(pixels))
            }
            (Datatype::Bytes, None) => self.encoded(input, &elements, reservation),
            (Datatype::Bytes, Some(_)) => bad("sizes go with pixels (UINT8); encoded images have their own"),
            _ => bad("datatype of images must be UINT8 (pixels) or BYTES (encoded images)"),
        }
    }

    fn pixels(
        &self,
        input: &InferInput<'_>,
        elements: &Elements<'_>,
        mut reservation: Reservation,
    ) -> Result<Pixels, ServerError> {
        let shape = self.shape::<4>(input)?;
        let count = self.check_tensor(shape)?;
        let values = match elements {
            Elements::Json(json) => {
                reservation.absorb(self.state.admission.budget.reserve(count as u64)?);
                json.bytes(count)?
            }
            Elements::Bytes(bytes) if bytes.len() != count => {
                return bad(format!("the data of images hold {} bytes, the shape says {count}", bytes.len()));
            }
            Elements::Bytes(bytes) => bytes.to_vec(),
        };
        let images = Array4::from_shape_vec(shape, values).map_err(|_| ServerError::Internal)?;
        Ok(Pixels { images, sizes: None, reservation })
    }

    /// Height and width of each of `n` original images, in pixels.
    fn sizes(&self, input: &InferInput<'_>, elements: &Elements<'_>, n: usize) -> Result<Vec<[i64; 2]>, ServerError> {
        if input.datatype != Datatype::Int64 || input.shape != [n as u64, 2] {
            return bad(format!("sizes must be INT64 of shape [{n}, 2]: height and width of each original image"));
        }
        let sizes = match elements {
            Elements::Json(json) => json.sizes()?,
            Elements::Bytes(bytes) => {
                let (values, rest) = bytes.as_chunks::<8>();
                let values: Vec<i64> = values.iter().map(|value| i64::from_le_bytes(*value)).collect();
                match values.as_chunks::<2>() {
                    (pairs, []) if rest.is_empty() && pairs.len() <= MAX_IMAGES => pairs.to_vec(),
                    _ => {
                        return bad(format!("the data of sizes hold {} bytes, the shape says {}", bytes.len(), 16 * n));
                    }
                }
            }
        };
        if sizes.len() != n {
            return bad(format!("the data of sizes hold {} pairs, the shape says {n}", sizes.len()));
        }
        let most = i64::from(self.state.limits.max_side);
        match sizes.iter().flatten().find(|side| !(1..=most).contains(*side)) {
            Some(side) => bad(format!("sizes hold {side}; a side of an image is 1 to {most} pixels")),
            None => Ok(sizes),
        }
    }

    fn encoded(
        &self,
        input: &InferInput<'_>,
        elements: &Elements<'_>,
        mut reservation: Reservation,
    ) -> Result<Images, ServerError> {
        let n = match &input.shape[..] {
            // Some clients write the batch as a column.
            [n, rest @ ..] if rest.iter().all(|&length| length == 1) => usize::try_from(*n).unwrap_or(usize::MAX),
            _ => return bad("shape of images must be [N] for BYTES, the number of encoded images"),
        };
        self.check_count(n)?;
        let images = match elements {
            Elements::Json(json) => json
                .texts(self.state.limits.max_images)?
                .iter()
                .enumerate()
                .map(|(i, text)| decode_base64(i, text, &self.state.admission.budget, &mut reservation))
                .collect::<Result<Vec<_>, _>>()?,
            Elements::Bytes(blob) => split(blob, n)?,
        };
        if images.len() != n {
            return bad(format!("the data hold {} elements, the shape says {n}", images.len()));
        }
        Ok(Images::Encoded(images, reservation))
    }

    fn shape<const RANK: usize>(&self, input: &InferInput<'_>) -> Result<[usize; RANK], ServerError> {
        let lengths: Option<Vec<usize>> = input.shape.iter().map(|&length| usize::try_from(length).ok()).collect();
        lengths.and_then(|lengths| lengths.try_into().ok()).ok_or_else(|| {
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
        if self.about.form == Form::Whole {
            let DetectionSettings { tiling, .. } = DetectionSettings::from(&self.about.settings);
            check_inside(&Size { index: 0, width, height }, limits.max_pixels, self.about, &tiling)?;
        }
        let count = [n, h, w, c].iter().try_fold(1usize, |product, &length| product.checked_mul(length));
        match count.filter(|&count| count as u64 <= limits.body_bytes()) {
            Some(count) => Ok(count),
            None => Err(ServerError::BodyTooLarge { limit: limits.body_bytes() }),
        }
    }
}

/// The elements of an input: in the JSON, or the next so many bytes after it.
fn elements_of<'a>(input: &InferInput<'a>, rest: &mut &'a [u8]) -> Result<Elements<'a>, ServerError> {
    let name = &*input.name;
    let parameters = input.parameters.as_ref();
    if parameters.is_some_and(|p| p.shared_memory_region.is_some()) {
        return bad("the parameter shared_memory_region is not supported");
    }
    match (parameters.and_then(|p| p.binary_data_size), input.data) {
        (Some(_), Some(_)) => bad(format!("{name} has both data and binary_data_size; send one")),
        (None, None) => bad(format!("{name} has neither data nor binary_data_size")),
        (None, Some(data)) => Ok(Elements::Json(data)),
        (Some(size), None) => {
            let Some((own, others)) = usize::try_from(size).ok().and_then(|size| rest.split_at_checked(size)) else {
                return bad(format!("binary_data_size of {name} is {size}, but {} bytes follow the JSON", rest.len()));
            };
            *rest = others;
            Ok(Elements::Bytes(own))
        }
    }
}

/// BYTES in binary form: each element is a little-endian 32-bit length and as many bytes.
fn split(mut blob: &[u8], n: usize) -> Result<Vec<Vec<u8>>, ServerError> {
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
