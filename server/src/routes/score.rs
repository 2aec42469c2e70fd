//! `/score`: Azure's scoring calls. The bytes of one image, or JSON of version 1 (`{"image": base64}`) or 2
//! (`{"input_data": {"columns": ["image"], "data": [base64, ...]}}`). What a request wants of a detector stands in the query string
//! or beside the images in the JSON.

use std::borrow::Cow;

use actix_web::{HttpRequest, HttpResponse, web, web::Data};
use base64::{
    Engine as _, alphabet,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use schemas::{
    dataset::Corners,
    prediction::{
        Attributions, Detection, DetectionAnswer, InputData, ScoreCell, ScoredBox, Visualizations, XaiParameters,
    },
};
use serde::{Deserialize, Serialize};

use super::{media_type, read_body, timings};
use crate::{
    admit::{Budget, Reservation},
    answer::{self, Explained},
    backend::Answer,
    error::ServerError,
    metrics::Stage,
    prepare::{Picture, Work},
    request::{Given, Scalar, WISHES},
    state::State,
};

/// Base64 as RFC 4648 has it; padding may be left out.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);
const MEDIA_TYPES: &str = "image/*, application/octet-stream or application/json";
const SHAPES: &str = "{\"input_data\": {\"columns\": [\"image\"], \"data\": [base64, ...]}} or {\"image\": base64}, and for a \
                      detector score_threshold, iou_threshold, tile_grid_size, tile_overlap_ratio, tile_predictions_nms_thresh";

/// What the query string says.
#[derive(Default)]
struct Query {
    /// The model; the first one when absent.
    model: Option<String>,
    /// Repeated in the answer.
    filename: Option<String>,
    given: Given,
}

impl Query {
    fn parse(text: &str) -> Result<Self, ServerError> {
        let pairs = web::Query::<Vec<(String, String)>>::from_query(text)
            .map_err(|_| ServerError::Request("the query string is broken; it may hold NAME=VALUE&...".to_owned()))?;
        let mut query = Self::default();
        for (name, value) in pairs.into_inner() {
            let place = match name.as_str() {
                "model" => &mut query.model,
                "filename" => &mut query.filename,
                wish if query.given.add(wish, &value)? => continue,
                _ => {
                    let names: Vec<&str> =
                        ["model", "filename"].into_iter().chain(WISHES.map(|(name, _)| name)).collect();
                    let text = format!("the query string holds an unknown name; it may hold {}", names.join(", "));
                    return Err(ServerError::Request(text));
                }
            };
            if place.replace(value).is_some() {
                return Err(ServerError::Request(format!("{name} is given twice in the query string")));
            }
        }
        if query.filename.as_ref().is_some_and(|name| name.len() > 255) {
            return Err(ServerError::Request("the file name in the query string has more than 255 bytes".to_owned()));
        }
        Ok(query)
    }
}

/// The answer about one image: [`schemas::prediction::ClassificationAnswer`], without a copy of the labels for each image.
#[derive(Serialize)]
struct Prediction<'a> {
    filename: String,
    probs: &'a [f32],
    labels: &'a [String],
    visualizations: Option<&'a Visualizations>,
    attributions: Option<&'a Attributions>,
}

/// Azure's health check: the request's path.
pub(crate) async fn health(request: HttpRequest) -> HttpResponse {
    HttpResponse::Ok().content_type("text/plain; charset=utf-8").body(request.path().to_owned())
}

pub(crate) async fn score(state: Data<State>, request: HttpRequest) -> Result<HttpResponse, ServerError> {
    let query = Query::parse(request.query_string())?;
    let model = match &query.model {
        Some(name) => state.models.iter().position(|m| m.description.name == *name).ok_or(ServerError::UnknownModel)?,
        None => 0,
    };
    let json = match media_type(&request)?.as_deref() {
        None | Some("application/octet-stream") => false,
        Some("application/json") => true,
        Some(other) if other.starts_with("image/") => false,
        Some(_) => return Err(ServerError::MediaType { expected: MEDIA_TYPES }),
    };
    let body = read_body(&state, &request).await?;
    let place = state.admission.enter()?;
    let work = Work { state: state.clone(), model, timings: timings(&request), place };
    let parsed = if json {
        let (budget, limit) = (state.admission.budget.clone(), state.limits.max_images);
        let (times, place) = (work.timings.clone(), work.place.clone());
        let parsed = state.pool.run(move || {
            let _place = place;
            times.time(Stage::Decode, || parse(&body.bytes, limit, &budget))
        });
        parsed.await?
    } else {
        let (images, wishes) = (vec![body.bytes], vec![None]);
        Parsed { list: false, images, wishes, given: Given::default(), reservation: body.reservation }
    };
    let about = &work.model().description;
    let plan = query.given.join(parsed.given)?.plan(about)?;
    answer::check(&parsed.wishes, about, state.limits.max_explained)?;
    let mut reservation = parsed.reservation;
    let mut wanted = Vec::new();
    for (index, (bytes, wish)) in parsed.images.iter().zip(parsed.wishes).enumerate() {
        if let Some(wish) = wish {
            reservation.absorb(state.admission.budget.reserve(bytes.len() as u64)?);
            wanted.push((index, bytes.clone(), wish));
        }
    }
    let seen = work.look(parsed.images, plan).await?;
    let mut explained: Vec<Option<Explained>> = seen.pictures.iter().map(|_| None).collect();
    for (index, bytes, wish) in wanted {
        explained[index] = Some(work.explain(index, bytes, wish).await?);
    }
    work.timings.time(Stage::Render, || {
        let labels = &work.model().description.meta.labels;
        let name = |i: usize| query.filename.clone().unwrap_or_else(|| format!("image_{i}"));
        match &seen.answer {
            Answer::Probabilities(rows) => {
                let mut predictions = Vec::with_capacity(rows.nrows());
                for (i, row) in rows.rows().into_iter().enumerate() {
                    let probs = row.to_slice().ok_or(ServerError::Internal)?;
                    let filename = name(i);
                    let why = explained.get(i).and_then(Option::as_ref);
                    let visualizations = why.and_then(|why| why.visualizations.as_ref());
                    let attributions = why.and_then(|why| why.attributions.as_ref());
                    predictions.push(Prediction { filename, probs, labels, visualizations, attributions });
                }
                Ok(render(&predictions, parsed.list))
            }
            Answer::Boxes(pictures) => {
                let about = |(i, (picture, found)): (usize, (&Picture, &Vec<Detection>))| {
                    let boxes = found.iter().map(|one| scored(one, picture, labels)).collect();
                    DetectionAnswer { filename: Some(name(i)), boxes }
                };
                let answers: Vec<_> = seen.pictures.iter().zip(pictures).enumerate().map(about).collect();
                Ok(render(&answers, parsed.list))
            }
        }
    })
}

/// A list, or its only answer.
fn render<T: Serialize>(answers: &[T], list: bool) -> HttpResponse {
    match answers.first() {
        Some(first) if !list => HttpResponse::Ok().json(first),
        _ => HttpResponse::Ok().json(answers),
    }
}

/// A detection as fractions of its picture.
fn scored(one: &Detection, picture: &Picture, labels: &[String]) -> ScoredBox {
    let (width, height) = (f64::from(picture.width), f64::from(picture.height));
    let share = |at: f32, length: f64| (f64::from(at) / length).clamp(0.0, 1.0);
    let [x1, y1, x2, y2] = one.corners;
    let corners = Corners {
        top_x: share(x1, width),
        top_y: share(y1, height),
        bottom_x: share(x2, width),
        bottom_y: share(y2, height),
    };
    ScoredBox { corners, label: labels.get(one.label).cloned().unwrap_or_default(), score: one.score, polygon: None }
}

/// The images of a JSON body.
struct Parsed {
    /// Whether the answer is a list.
    list: bool,
    images: Vec<Vec<u8>>,
    /// How each of them is to be explained, if it is.
    wishes: Vec<Option<XaiParameters>>,
    given: Given,
    reservation: Reservation,
}

/// Either version of the request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request<'a> {
    #[serde(borrow)]
    input_data: Option<InputData<'a>>,
    #[serde(borrow)]
    image: Option<ScoreCell<'a>>,
    #[serde(default)]
    model_explainability: bool,
    #[serde(default)]
    xai_parameters: XaiParameters,
    score_threshold: Option<Scalar>,
    iou_threshold: Option<Scalar>,
    tile_grid_size: Option<Scalar>,
    tile_overlap_ratio: Option<Scalar>,
    tile_predictions_nms_thresh: Option<Scalar>,
}

fn parse(body: &[u8], limit: u64, budget: &Budget) -> Result<Parsed, ServerError> {
    let request: Request<'_> = serde_json::from_slice(body).map_err(|e| ServerError::json(&e, SHAPES))?;
    let of_all = request.model_explainability.then_some(request.xai_parameters);
    let (list, cells) = match (request.input_data, request.image) {
        (Some(input), None) => (true, input.data),
        (None, Some(cell)) => (false, vec![cell]),
        (None, None) | (Some(_), Some(_)) => {
            return Err(ServerError::Request(format!("the body must be {SHAPES}")));
        }
    };
    let given = cells.len() as u64;
    if given > limit {
        return Err(ServerError::TooManyImages { given, limit });
    }
    // In the order of the names in `WISHES`.
    let given = Given::new([
        request.score_threshold,
        request.iou_threshold,
        request.tile_grid_size,
        request.tile_overlap_ratio,
        request.tile_predictions_nms_thresh,
    ]);
    let mut reservation = budget.reserve(0)?;
    let mut images = Vec::with_capacity(cells.len());
    let mut wishes = Vec::with_capacity(cells.len());
    for (index, cell) in cells.iter().enumerate() {
        let request = cell.parse().map_err(|_| {
            ServerError::Request(format!("image {index}: the text is JSON but not {{\"image_base64\": base64}}"))
        })?;
        let own = request.model_explainability.then_some(request.xai_parameters);
        wishes.push(own.or_else(|| of_all.clone()));
        images.push(decode_base64(index, &request.image_base64, budget, &mut reservation)?);
    }
    Ok(Parsed { list, images, wishes, given, reservation })
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
            .map(|p| (p.list, p.images.into_iter().map(|i| String::from_utf8(i).unwrap()).collect()))
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
            (r#"{"image":"aGV5","xai_parameters":{"xai_algorithm":"sorcery"}}"#, "invalid_json"),
            (r#"{"input_data":{"columns":["picture"],"data":["aGV5"]}}"#, "invalid_json"),
            (r#"{"input_data":{"columns":["image","x"],"data":["aGV5"]}}"#, "invalid_json"),
            (r#"{"input_data":{"columns":["image"],"data":"aGV5"}}"#, "invalid_json"),
            (r#"{"input_data":{"columns":["image"],"data":[[["aGV5"]]]}}"#, "invalid_json"),
            (r#"{"input_data":{"columns":["image"],"data":[["aGV5","aGV5"]]}}"#, "invalid_json"),
            (r#"{"input_data":{"columns":["image"],"data":["{\"picture\":\"aGV5\"}"]}}"#, "invalid_request"),
            (r#"{"input_data":{"columns":["image"],"data":["","","",""]}}"#, "too_many_images"),
        ] {
            let error = check(body).unwrap_err();
            assert_eq!(error.status_and_code().1.as_str(), code, "{body}: {error}");
        }
        let error = check("{\n  \"image\": 5\n}").unwrap_err();
        assert!(matches!(error, ServerError::Json { line: 2, .. }), "{error}");
    }
}
