//! `/score`: Azure's scoring calls. The bytes of one image, or a [`ScoreRequest`] in JSON. What holds in place of the model's own
//! settings stands in the query string or beside the images in the JSON.

use std::borrow::Cow;

use actix_web::{HttpRequest, HttpResponse, web, web::Data};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use schemas::prediction::{Detection, DetectionAnswer, Drawing, MAX_FILENAME, ScoreRequest, XaiParameters};
use serde::Serialize;

use super::{
    form::{self, Form},
    media_type, read_work, timings,
};
use crate::{
    admit::{Body, Budget, Reservation},
    answer::{Explained, Predicted},
    backend::Predictions,
    error::ServerError,
    masks::Masks,
    metrics::Stage,
    prepare::{Original, Work},
    render::{classified, scored},
    request::{Overrides, RequestOptions, check_explanations, did_you_mean},
    state::State,
};

/// Base64 as RFC 4648 has it; padding may be left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const MEDIA_TYPES: &str = "image/*, application/octet-stream, multipart/form-data or application/json";
const SHAPES: &str = "{\"input_data\": {\"columns\": [\"image\"], \"data\": [base64, ...]}} or {\"image\": base64}; for a classifier also \
                      top_k, valid_resize_size, valid_crop_size; for a detector score_threshold, iou_threshold, tile_grid_size, \
                      tile_overlap_ratio, tile_predictions_nms_thresh; for a model that segments instances also masks (polygon, \
                      rle, png or none), mask_pixel_score_threshold, max_number_of_polygon_points; drawn (jpeg or png)";

/// How the images come.
enum Kind {
    /// One, as it is.
    Image,
    /// As base64.
    Json,
    /// As files of a form with this boundary.
    Form(String),
}

/// The query string: [`schemas::prediction::ScoreQuery`], read name by name.
#[derive(Default)]
struct Query {
    /// The model; the first one when absent.
    model: Option<String>,
    version: Option<String>,
    /// Repeated in the answer.
    filename: Option<String>,
    asked: Asked,
}

fn bad<T>(text: String) -> Result<T, ServerError> {
    Err(ServerError::Request(text))
}

impl Query {
    fn parse(text: &str) -> Result<Self, ServerError> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(text)
            .map_err(|_| ServerError::Request("the query string is broken; it may hold NAME=VALUE&...".to_owned()))?;
        let mut query = Self::default();
        for (name, value) in pairs.into_inner() {
            let is_repeated = match name.as_str() {
                "model" => query.model.replace(value).is_some(),
                "version" => query.version.replace(value).is_some(),
                "filename" => query.filename.replace(value).is_some(),
                _ => query.asked.set("query string", &name, &value)?,
            };
            if is_repeated {
                return bad(format!("{name} is given twice in the query string"));
            }
        }
        if query.filename.as_ref().is_some_and(|name| name.len() > MAX_FILENAME) {
            return bad(format!("the file name in the query string has more than {MAX_FILENAME} bytes"));
        }
        Ok(query)
    }
}

/// Azure's health check: the request's path.
pub(crate) async fn health(request: HttpRequest) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(request.path().to_owned())
}

pub(crate) async fn score(state: Data<State>, request: HttpRequest) -> Result<HttpResponse, ServerError> {
    let query = Query::parse(request.query_string())?;
    let found = state.models.find(query.model.as_deref(), query.version.as_deref())?;
    let kind = match media_type(&request)?.as_deref() {
        None | Some("application/octet-stream") => Kind::Image,
        Some("application/json") => Kind::Json,
        Some("multipart/form-data") => Kind::Form(form::boundary(&request)?),
        Some(other) if other.starts_with("image/") => Kind::Image,
        Some(_) => return Err(ServerError::MediaType { expected: MEDIA_TYPES }),
    };
    let body = read_work(&state, &request).await?;
    let permit = state.admission.enter()?;
    let work = Work::new(state.clone(), found, timings(&request), permit);
    let mut parsed = match kind {
        Kind::Image => Parsed::of_bytes(body.bytes, body.reservation),
        Kind::Json => {
            let (budget, limit) = (state.admission.budget.clone(), state.limits.max_images);
            let (times, permit) = (work.timings.clone(), work.permit.clone());
            let parsed = state.pool.run(move || {
                let _permit = permit;
                times.time(Stage::Decode, || parse(&body.bytes, limit, &budget))
            });
            parsed.await?
        }
        Kind::Form(boundary) => {
            let (shared, times, permit) = (state.clone(), work.timings.clone(), work.permit.clone());
            let parsed = state.pool.run(move || {
                let _permit = permit;
                times.time(Stage::Decode, || of_form(body, &boundary, &shared))
            });
            parsed.await?
        }
    };
    let names = std::mem::take(&mut parsed.names);
    let is_list = parsed.is_list;
    let answer = work.in_time(predict(&work, parsed, query.asked)).await?;
    let Said { predicted, mut explained, mut masks, top } = match answer {
        Answer::Said(said) => said,
        Answer::Drawn(drawing, image) => return Ok(HttpResponse::Ok().content_type(drawing.media_type()).body(image)),
    };
    work.timings.time(Stage::Render, || {
        let labels = &work.model.description.meta.labels;
        let own = |i: usize| names.get(i).cloned().flatten();
        let name = |i: usize| query.filename.clone().or_else(|| own(i)).unwrap_or_else(|| format!("image_{i}"));
        match &predicted.predictions {
            Predictions::Probabilities(rows) => {
                let mut answers = Vec::with_capacity(rows.nrows());
                for (i, (row, explained)) in rows.rows().into_iter().zip(&mut explained).enumerate() {
                    let probs = row.to_slice().ok_or(ServerError::Internal)?;
                    answers.push(classified(name(i), probs, labels, top, explained.as_mut()));
                }
                Ok(render(&answers, is_list))
            }
            Predictions::Boxes(images) => {
                let about = |(i, (original, found)): (usize, (&Original, &Vec<Detection>))| {
                    let masks = std::mem::take(&mut masks.of_images[i]);
                    DetectionAnswer { filename: Some(name(i)), boxes: scored(found, masks, original, labels) }
                };
                let answers: Vec<_> = predicted.originals.iter().zip(images).enumerate().map(about).collect();
                Ok(render(&answers, is_list))
            }
        }
    })
}

/// What a request says, in its query string or its body, about how it is answered.
#[derive(Default)]
struct Asked {
    overrides: Overrides,
    /// The answer is the image, in this form, with what was found in it.
    drawn: Option<Drawing>,
}

impl Asked {
    /// Takes what `place` says under this name. Whether that was said before.
    fn set(&mut self, place: &str, name: &str, value: &str) -> Result<bool, ServerError> {
        if name == "drawn" {
            return Ok(self.drawn.replace(value.parse().map_err(ServerError::Request)?).is_some());
        }
        if Overrides::knows(name) {
            return self.overrides.set(name, value).map_err(ServerError::Request);
        }
        let names = || ["model", "version", "filename", "drawn"].into_iter().chain(Overrides::names());
        let (near, all) = (did_you_mean(name, names()), names().collect::<Vec<_>>().join(", "));
        bad(format!("the {place} holds an unknown name{near}; it may hold {all}"))
    }

    /// Both together.
    ///
    /// # Errors
    /// Something is in both.
    fn join(self, body: &Self) -> Result<Self, ServerError> {
        let twice =
            |name: &str| ServerError::Request(format!("{name} is in the query string and in the body; send one"));
        if self.drawn.is_some() && body.drawn.is_some() {
            return Err(twice("drawn"));
        }
        let overrides = self.overrides.join(&body.overrides).map_err(twice)?;
        Ok(Self { overrides, drawn: self.drawn.or(body.drawn) })
    }
}

/// What comes of a request.
enum Answer {
    /// An answer about each image.
    Said(Said),
    /// The image, with what was found in it.
    Drawn(Drawing, Vec<u8>),
}

/// What is said about the images of a request.
struct Said {
    predicted: Predicted,
    /// The explanations that were asked for, one place for each image.
    explained: Vec<Option<Explained>>,
    masks: Masks,
    /// Most labels of an answer.
    top: Option<usize>,
}

async fn predict(work: &Work, parsed: Parsed, query: Asked) -> Result<Answer, ServerError> {
    let (about, state) = (&work.model.description, &work.state);
    let Asked { overrides, drawn } = query.join(&parsed.asked)?;
    let options = RequestOptions::new(&overrides, about)?;
    check_explanations(&parsed.explanations, about, state.limits.max_explained)?;
    let mut reservation = parsed.reservation;
    let mut kept = |bytes: &Vec<u8>| {
        reservation.absorb(state.admission.budget.reserve(bytes.len() as u64)?);
        Ok::<_, ServerError>(bytes.clone())
    };
    if let Some(drawing) = drawn {
        let image = match &parsed.images[..] {
            [image] if parsed.explanations.iter().all(Option::is_none) => kept(image)?,
            [_] => {
                return bad(
                    "an explanation is answered in JSON, and drawn with an image; ask for one of them".to_owned()
                );
            }
            others => return bad(format!("drawn is for one image, and the request has {}", others.len())),
        };
        let predicted = work.predict(parsed.images, options).await?;
        let image = work.draw(image, &predicted.predictions, &options, drawing).await?;
        return Ok(Answer::Drawn(drawing, image));
    }
    let mut to_explain = Vec::new();
    for (index, (bytes, parameters)) in parsed.images.iter().zip(parsed.explanations).enumerate() {
        if let Some(parameters) = parameters {
            to_explain.push(((index, kept(bytes)?), parameters));
        }
    }
    let predicted = work.predict(parsed.images, options).await?;
    let mut explained: Vec<Option<Explained>> = predicted.originals.iter().map(|_| None).collect();
    for (image, parameters) in to_explain {
        let index = image.0;
        explained[index] = Some(work.explain(image, parameters, options.fit).await?);
    }
    let (predicted, masks) = work.masks(predicted, options.masks).await?;
    Ok(Answer::Said(Said { predicted, explained, masks, top: options.top }))
}

/// A list, or its only answer.
fn render<T: Serialize>(answers: &[T], is_list: bool) -> HttpResponse {
    match answers.first() {
        Some(first) if !is_list => HttpResponse::Ok().json(first),
        _ => HttpResponse::Ok().json(answers),
    }
}

/// The images of a body, decoded from base64.
struct Parsed {
    /// Whether the answer is a list.
    is_list: bool,
    images: Vec<Vec<u8>>,
    /// What each is called, where that was said.
    names: Vec<Option<String>>,
    /// How each of them is to be explained, if it is.
    explanations: Vec<Option<XaiParameters>>,
    asked: Asked,
    reservation: Reservation,
}

impl Parsed {
    /// A body that is an image.
    fn of_bytes(image: Vec<u8>, reservation: Reservation) -> Self {
        let asked = Asked::default();
        Self { is_list: false, images: vec![image], names: vec![None], explanations: vec![None], asked, reservation }
    }
}

fn parse(body: &[u8], limit: u64, budget: &Budget) -> Result<Parsed, ServerError> {
    let mut request = ScoreRequest::from_json(body).map_err(|e| ServerError::json(&e, SHAPES))?;
    let overrides = Overrides { options: request.take_options(), masks: request.masks };
    let asked = Asked { overrides, drawn: request.drawn };
    request.xai_parameters.check().map_err(ServerError::Request)?;
    let of_all = request.model_explainability.then_some(request.xai_parameters);
    let (is_list, cells) = match (request.input_data, request.image) {
        (Some(input), None) => (true, input.data),
        (None, Some(cell)) => (false, vec![cell]),
        (None, None) | (Some(_), Some(_)) => return bad(format!("the body must be {SHAPES}")),
    };
    let given = cells.len() as u64;
    if given > limit {
        return Err(ServerError::TooManyImages { given, limit });
    }
    let mut reservation = budget.reserve(0)?;
    let mut images = Vec::with_capacity(cells.len());
    let mut explanations = Vec::with_capacity(cells.len());
    for (index, cell) in cells.iter().enumerate() {
        let request = cell.parse().map_err(|_| {
            ServerError::Request(format!("image {index}: the text is JSON but not {{\"image_base64\": base64}}"))
        })?;
        let parameters = request.xai_parameters;
        parameters.check().map_err(|text| ServerError::Request(format!("image {index}: {text}")))?;
        explanations.push(request.model_explainability.then_some(parameters).or_else(|| of_all.clone()));
        images.push(decode_base64(index, &request.image_base64, budget, &mut reservation)?);
    }
    Ok(Parsed { is_list, names: Vec::new(), images, explanations, asked, reservation })
}

/// The images of a form: its files, answered with an object if there is one and with a list if there are several. Its other fields
/// are options.
fn of_form(body: Body, boundary: &str, state: &State) -> Result<Parsed, ServerError> {
    let Body { bytes, mut reservation } = body;
    // The files are taken out of the body.
    reservation.absorb(state.admission.budget.reserve(bytes.len() as u64)?);
    let Form { files, fields } = form::read(bytes, boundary, state.limits.max_images)?;
    let mut asked = Asked::default();
    for (name, value) in fields {
        if asked.set("form", &name, &value)? {
            return bad(format!("{name} is given twice in the form"));
        }
    }
    let (names, images): (Vec<Option<String>>, Vec<Vec<u8>>) = files.into_iter().unzip();
    Ok(Parsed { is_list: images.len() > 1, explanations: vec![None; images.len()], names, images, asked, reservation })
}

/// Reads the JSON of a request, and throws it away.
pub(crate) fn check_json(json: &[u8], state: &State) -> Result<(), ServerError> {
    parse(json, state.limits.max_images, &state.admission.budget).map(drop)
}

/// The same with a query string.
pub(crate) fn check_query(text: &str) -> Result<(), ServerError> {
    Query::parse(text).map(drop)
}

/// The same with a form.
pub(crate) fn check_form(body: Body, boundary: &str, state: &State) -> Result<(), ServerError> {
    of_form(body, boundary, state).map(drop)
}

/// Line breaks and spaces within the text are skipped: common encoders put them there.
pub(crate) fn decode_base64(
    index: usize,
    text: &str,
    budget: &Budget,
    reservation: &mut Reservation,
) -> Result<Vec<u8>, ServerError> {
    reservation.absorb(budget.reserve(text.len() as u64)?);
    let text = text.trim_ascii();
    let spaced = text.bytes().any(|b| b.is_ascii_whitespace());
    let text = if spaced { Cow::Owned(text.split_ascii_whitespace().collect()) } else { Cow::Borrowed(text) };
    BASE64.decode(text.as_bytes()).map_err(|_| ServerError::Base64 { index })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str) -> Result<(bool, Vec<String>), ServerError> {
        let budget = Budget::new(1 << 20);
        parse(body.as_bytes(), 3, &budget)
            .map(|p| (p.is_list, p.images.into_iter().map(|i| String::from_utf8(i).unwrap()).collect()))
    }

    #[test]
    fn every_documented_shape() {
        let one = |list, text: &str| Ok((list, vec![text.to_owned()]));
        assert_eq!(check(r#"{"image":"aGV5"}"#), one(false, "hey"));
        assert_eq!(check(r#"{"image":"aGVs\nbG8=\n","model_explainability":false}"#), one(false, "hello"));
        assert_eq!(check(r#"{"image":"aGVsbG8"}"#), one(false, "hello"));
        assert_eq!(check(r#"{"input_data":{"columns":["image"],"data":["aGV5"]}}"#), one(true, "hey"));
        assert_eq!(check(r#"{"input_data":{"data":[["aGV5"]],"index":[0],"columns":["image"]}}"#), one(true, "hey"));
        let cell = r#"{"input_data":{"columns":["image"],"data":["{\"image_base64\":\"aGV5\"}","aGV5"]}}"#;
        assert_eq!(check(cell), Ok((true, vec!["hey".to_owned(), "hey".to_owned()])));
        assert_eq!(check(r#"{"input_data":{"columns":["image"],"data":[]}}"#), Ok((true, vec![])));
    }

    #[test]
    fn refusals_name_what_is_wrong() {
        use schemas::Coded;

        for (body, code) in [
            ("{", "invalid_json"),
            ("[]", "invalid_json"),
            ("nul", "invalid_json"),
            ("{}", "invalid_request"),
            (r#"{"image":5}"#, "invalid_json"),
            (r#"{"image":"*"}"#, "invalid_base64"),
            (r#"{"image":"aGV5","image":"aGV5"}"#, "invalid_json"),
            (r#"{"image":"aGV5","input_data":{"columns":["image"],"data":[]}}"#, "invalid_request"),
            (r#"{"image":"aGV5","model_explainability":1}"#, "invalid_json"),
            (r#"{"image":"aGV5","xai_parameters":{"n_steps":1}}"#, "invalid_request"),
            (r#"{"image":"aGV5","xai_parameters":{"xai_algorithm":"sorcery"}}"#, "invalid_json"),
            (r#"{"input_data":{"columns":["photo"],"data":["aGV5"]}}"#, "invalid_json"),
            (r#"{"input_data":{"columns":["image","x"],"data":["aGV5"]}}"#, "invalid_json"),
            (r#"{"input_data":{"columns":["image"],"data":"aGV5"}}"#, "invalid_json"),
            (r#"{"input_data":{"columns":["image"],"data":[[["aGV5"]]]}}"#, "invalid_json"),
            (r#"{"input_data":{"columns":["image"],"data":[["aGV5","aGV5"]]}}"#, "invalid_json"),
            (r#"{"input_data":{"columns":["image"],"data":["{\"photo\":\"aGV5\"}"]}}"#, "invalid_request"),
            (r#"{"input_data":{"columns":["image"],"data":["","","",""]}}"#, "too_many_images"),
        ] {
            let error = check(body).unwrap_err();
            assert_eq!(error.code().as_str(), code, "{body}: {error}");
        }
        let error = check("{\n  \"image\": 5\n}").unwrap_err();
        assert!(matches!(error, ServerError::Json { line: 2, .. }), "{error}");
    }
}
