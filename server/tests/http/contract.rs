//! The contract: the published JSON Schemas and the server are of one opinion about every request that these tests send.
//! [`check`] is called wherever a test sends one.

use std::{collections::BTreeSet, fmt, panic, path::Path, sync::LazyLock};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::ImageFormat::Png;
use jsonschema::Validator;
use serde::{
    Deserialize, Deserializer,
    de::{Error, MapAccess, SeqAccess, Visitor},
};
use serde_json::{Value, json};

use crate::{
    images::plain,
    support::{Response, Server, post, read_text},
};

/// Codes of refusals that say nothing about the shape of the JSON: the request was not read that far, or its bytes are at fault.
const OTHER_FAULTS: [&str; 23] = [
    // Models that panic on purpose.
    "internal",
    "not_found",
    "unknown_model",
    "method_not_allowed",
    "unsupported_media_type",
    "unsupported_encoding",
    "empty_body",
    "broken_body",
    "slow_body",
    "slow_head",
    "malformed_request",
    "body_too_large",
    "too_much_memory",
    "overloaded",
    "deadline_exceeded",
    "forbidden",
    "invalid_model_file",
    "not_ready",
    "model_failed",
    "invalid_base64",
    "invalid_image",
    "image_too_large",
    "too_many_images",
];

/// Refusals of requests that the schemas accept: a part of the message, and why no schema says it.
const BEYOND_SCHEMAS: [(&str, &str); 35] = [
    ("outside its range", "a pattern gives no range to a number that is written as text"),
    ("which is not a finite number", "a number written as text may be infinite"),
    ("is for models that detect objects", "depends on the model"),
    ("which is not a whole number", "a number written as text may have a fraction"),
    ("is for models that segment instances", "depends on the model"),
    ("is for models that classify", "depends on the model"),
    ("export it with --any-size", "depends on the model"),
    ("a request may ask for up to", "depends on the model"),
    ("the square is cut from the resized image", "relates two options"),
    ("drawn is for one image", "relates an option and the number of images"),
    ("an explanation is answered in JSON", "relates two options"),
    ("this model's file is of the form 'whole'", "depends on the model"),
    ("tiles; this model, with up to", "depends on the model"),
    ("model_explainability is for classifiers", "depends on the model"),
    ("needs gradients", "depends on what runs the model: the trainer explains with gradients"),
    (
        "an explanation without visualizations and attributions is none",
        "depends on model_explainability of another place",
    ),
    ("are above confidence_score_threshold_multilabel", "depends on the answer"),
    ("the model has one input", "depends on the model"),
    ("with pixels the model needs sizes", "depends on the model"),
    ("outputs, when given, must name some of", "depends on the model"),
    ("shape of images is", "depends on the model"),
    ("do not fit the model", "depends on the model"),
    ("sizes go with pixels", "relates two inputs"),
    ("pixels are run as they come", "relates an option and the type of an input"),
    ("outputs name", "relates two outputs"),
    ("sizes must be INT64 of shape", "relates the shapes of two inputs"),
    ("the shape says", "relates a shape and the number of elements"),
    ("data of sizes must be", "an odd number of sides, or one beyond 64 bits"),
    ("sizes hold", "depends on the server's limits"),
    ("is no integer from 0 to 255", "JSON Schema takes 1.0 for an integer"),
    ("that no input asks for", "relates the JSON and the bytes after it"),
    ("bytes follow the JSON", "relates the JSON and the bytes after it"),
    ("the data end within the length of an element", "is in the bytes after the JSON"),
    ("are left", "is in the bytes after the JSON"),
    ("is in the query string and in the body", "relates two places"),
];

fn validator(file: &str) -> Validator {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas/json").join(file);
    let schema: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    jsonschema::validator_for(&schema).unwrap()
}

static SCORE: LazyLock<Validator> = LazyLock::new(|| validator("score.request.json"));
static CELL: LazyLock<Validator> = LazyLock::new(|| validator("score.image.json"));
static QUERY: LazyLock<Validator> = LazyLock::new(|| validator("score.query.json"));
static INFER: LazyLock<Validator> = LazyLock::new(|| validator("v2.infer.request.json"));
static CLASSES: LazyLock<Validator> = LazyLock::new(|| validator("score.classification.json"));
static BOXES: LazyLock<Validator> = LazyLock::new(|| validator("score.detection.json"));
static OUTPUTS: LazyLock<Validator> = LazyLock::new(|| validator("v2.infer.response.json"));

/// JSON in which no object has a key twice, which JSON Schema does not see.
struct Strict;

struct StrictVisitor;

impl<'de> Visitor<'de> for StrictVisitor {
    type Value = Strict;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON without repeated keys")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Strict, A::Error> {
        let mut keys = BTreeSet::new();
        while let Some((key, Strict)) = map.next_entry::<String, Strict>()? {
            if !keys.insert(key) {
                return Err(A::Error::custom("a key is repeated"));
            }
        }
        Ok(Strict)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Strict, A::Error> {
        while list.next_element::<Strict>()?.is_some() {}
        Ok(Strict)
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<Strict, E> {
        Ok(Strict)
    }

    fn visit_unit<E: Error>(self) -> Result<Strict, E> {
        Ok(Strict)
    }
}

impl<'de> Deserialize<'de> for Strict {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(StrictVisitor)
    }
}

/// A request as it was sent, taken apart.
struct Sent<'a> {
    path: &'a str,
    query: &'a str,
    is_json: bool,
    /// Length of the JSON that tensor bytes follow.
    json_length: Option<usize>,
    body: &'a [u8],
}

impl<'a> Sent<'a> {
    /// `None` for what is no whole POST with one plain body.
    fn parse(raw: &'a [u8]) -> Option<Self> {
        let end = raw.windows(4).position(|w| w == b"\r\n\r\n")?;
        let head = std::str::from_utf8(&raw[..end]).ok()?;
        let (body, mut lines) = (&raw[end + 4..], head.split("\r\n"));
        let target = lines.next()?.strip_prefix("POST ")?.strip_suffix(" HTTP/1.1")?;
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        let header = |name: &str| {
            let line = head.split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
            line.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).last()
        };
        let coded = header("transfer-encoding").or_else(|| header("content-encoding")).is_some();
        if header("content-length")?.parse() != Ok(body.len()) || coded {
            return None;
        }
        let media = header("content-type").and_then(|value| value.split(';').next());
        if media == Some("multipart/form-data") {
            // No schema is of what is in a form.
            return None;
        }
        let json_length = match header("inference-header-content-length") {
            None => None,
            Some(text) => Some(text.parse().ok().filter(|length| (1..=body.len()).contains(length))?),
        };
        Some(Self { path, query, is_json: media == Some("application/json"), json_length, body })
    }
}

/// What the schemas say about a JSON text.
fn judge(validator: &Validator, json: &[u8]) -> Result<Value, String> {
    let json = json.strip_prefix(b"\xef\xbb\xbf").unwrap_or(json);
    serde_json::from_slice::<Strict>(json).map_err(|e| e.to_string())?;
    let value: Value = serde_json::from_slice(json).map_err(|e| e.to_string())?;
    let faults: Vec<String> =
        validator.iter_errors(&value).map(|e| format!("{}: {e:.200}", e.instance_path())).collect();
    if faults.is_empty() { Ok(value) } else { Err(faults.join("; ")) }
}

/// The same for a scoring request, whose cells may be JSON again.
fn judge_score(json: &[u8]) -> Result<(), String> {
    let request = judge(&SCORE, json)?;
    let cells = request["input_data"]["data"].as_array().map_or(std::slice::from_ref(&request["image"]), Vec::as_slice);
    for cell in cells {
        let text = cell.as_str().or_else(|| cell[0].as_str()).unwrap_or_default();
        if text.trim_start().starts_with('{') {
            judge(&CELL, text.as_bytes())?;
        }
    }
    Ok(())
}

/// The names of a query string are checked as the texts that they are.
fn judge_query(query: &str) -> Result<(), String> {
    let mut names = serde_json::Map::new();
    for (name, value) in query.split('&').filter(|pair| !pair.is_empty()).filter_map(|pair| pair.split_once('=')) {
        if names.insert(name.to_owned(), value.into()).is_some() {
            return Err(format!("{name} twice"));
        }
    }
    judge(&QUERY, Value::Object(names).to_string().as_bytes()).map(|_| ())
}

fn opinion(sent: &Sent<'_>) -> Option<Result<(), String>> {
    if sent.query.contains('%') {
        return None;
    }
    let is_score = sent.path == "/score";
    let is_infer = sent.path.starts_with("/v2/models/") && sent.path.ends_with("/infer");
    let json = match (sent.is_json, sent.json_length) {
        (_, Some(length)) if is_infer => Some(&sent.body[..length]),
        (true, None) => Some(sent.body),
        (true, Some(_)) | (false, _) => None,
    };
    match json {
        Some(json) if is_score => Some(judge_query(sent.query).and_then(|()| judge_score(json))),
        None if is_score => Some(judge_query(sent.query)),
        Some(json) if is_infer => Some(judge(&INFER, json).map(|_| ())),
        Some(_) | None => None,
    }
}

/// Checks that the answer to these bytes is what the schemas say about them, and is itself of the published shape.
#[track_caller]
pub fn check(raw: &[u8], answer: &Response) {
    let Some(sent) = Sent::parse(raw) else { return };
    let Some(opinion) = opinion(&sent) else { return };
    let shown = String::from_utf8_lossy(&raw[..raw.len().min(600)]).into_owned();
    match (answer.status, opinion) {
        (200, Err(fault)) if fault.contains("recursion limit") => {}
        (200, Err(fault)) => panic!("the server accepts what the schemas refuse, {fault}\n{shown}"),
        (200, Ok(())) => check_answer(sent.path, answer),
        (400.., Ok(())) => {
            let (code, text) = (answer.code(), answer.text());
            let is_known =
                OTHER_FAULTS.contains(&code.as_str()) || BEYOND_SCHEMAS.iter().any(|(part, _)| text.contains(part));
            assert!(is_known, "the schemas accept what the server refuses, {text}\n{shown}");
        }
        (_, _) => {}
    }
}

#[track_caller]
fn check_answer(path: &str, answer: &Response) {
    if answer.header("content-type") != Some("application/json") {
        return;
    }
    let body = answer.json();
    let list = if path == "/score" && body.is_object() { json!([body]) } else { body };
    let is_sound =
        if path == "/score" { CLASSES.is_valid(&list) || BOXES.is_valid(&list) } else { OUTPUTS.is_valid(&list) };
    assert!(is_sound, "the answer is not of the published shape: {}", answer.text());
}

fn models(options: &[&str]) -> Server {
    let model = |name: &str, file: &str| format!("--model={name}={}", crate::support::fixture(file).display());
    let models = [model("d", "tiny_detector_prepared.onnx"), model("dw", "tiny_detector_whole.onnx")];
    Server::start(&models.iter().map(String::as_str).chain(options.iter().copied()).collect::<Vec<_>>())
}

#[track_caller]
fn check_sent(server: &Server, path: &str, body: &Value, status: u16) {
    let answer = server.post(path, "application/json", body.to_string().as_bytes());
    assert_eq!(answer.status, status, "{path} {:.300}: {}", body.to_string(), answer.text());
}

#[test]
fn documented_examples_are_accepted() {
    let server = models(&[]);
    let document = server.get("/openapi.json").json();
    let mut count = 0;
    for (path, pointer) in
        [("/score", "/paths/~1score"), ("/v2/models/whole/infer", "/paths/~1v2~1models~1{model}~1infer")]
    {
        let examples = document.pointer(&format!("{pointer}/post/requestBody/content/application~1json/examples"));
        for (name, example) in examples.unwrap().as_object().unwrap() {
            let path = if name.contains("detector") { "/score?model=d" } else { path };
            check_sent(&server, path, &example["value"], 200);
            count += 1;
        }
    }
    assert!(count >= 7, "{count}");
}

/// The requests that are written in the documents: `printf` of a body with `%s` for an image, piped to `curl` with a path.
#[test]
fn requests_of_the_documents_are_accepted() {
    let server = models(&[]);
    let image = STANDARD.encode(plain(20, 20, [250, 0, 0], Png));
    let mut count = 0;
    for text in read_text(&["README.md", "docs"]) {
        for part in text.split("printf '{").skip(1) {
            let (body, rest) = part.split_once('\'').unwrap();
            let mut words = rest.lines().take(2).flat_map(str::split_whitespace);
            let Some(url) = words.find_map(|word| word.strip_prefix("http://127.0.0.1:8080")) else { continue };
            let path = if url.ends_with("/infer") { "/v2/models/tiny/infer" } else { "/score" };
            let body = format!("{{{}", body.replace("%s", &image));
            check_sent(&server, path, &serde_json::from_str(&body).unwrap(), 200);
            count += 1;
        }
    }
    assert!(count >= 2, "{count}");
}

#[test]
fn unknown_keys_of_other_systems_protocols_are_ignored_and_our_own_names_are_not() {
    let server = models(&[]);
    let image = STANDARD.encode(plain(20, 20, [250, 0, 0], Png));
    let cell = json!({ "image_base64": image, "colour": "red", "xai_parameters": { "n": 1 } }).to_string();
    let table = json!({ "columns": ["image"], "data": [cell], "index": [0], "more": {} });
    check_sent(&server, "/score", &json!({ "input_data": table, "params": [1] }), 200);
    check_sent(&server, "/score?model=d", &json!({ "image": image, "score_treshold": 7 }), 200);
    let input = json!({ "name": "images", "datatype": "BYTES", "shape": [1], "data": [image], "parameters": { "a": [1] }, "b": 2 });
    let outputs = json!([{ "name": "probabilities", "c": 3, "parameters": { "d": 4 } }]);
    let infer = json!({ "inputs": [input], "outputs": outputs, "parameters": { "priority": 1, "e": {} }, "f": 6 });
    check_sent(&server, "/v2/models/tiny/infer", &infer, 200);
    let answer = server.post("/score?model=d&score_treshold=0.5", "image/png", &plain(20, 20, [1, 2, 3], Png));
    assert_eq!(answer.status, 400);
    assert!(answer.text().contains("did you mean score_threshold?"), "{}", answer.text());
}

#[test]
fn both_say_the_same_about_the_edges() {
    let server = models(&[]);
    let image = STANDARD.encode(plain(64, 64, [200, 100, 0], Png));
    let with = |options: Value| {
        let mut body = json!({ "image": image });
        body.as_object_mut().unwrap().extend(options.as_object().unwrap().clone());
        body
    };
    for (options, status) in [
        (json!({ "score_threshold": 0 }), 200),
        (json!({ "score_threshold": 1.0 }), 200),
        (json!({ "score_threshold": null }), 200),
        (json!({ "score_threshold": " 5e-1 " }), 200),
        (json!({ "score_threshold": "+.5" }), 200),
        (json!({ "score_threshold": "5." }), 400),
        (json!({ "score_threshold": "." }), 400),
        (json!({ "score_threshold": "inf" }), 400),
        (json!({ "score_threshold": "1e999" }), 400),
        (json!({ "score_threshold": "0x1" }), 400),
        (json!({ "score_threshold": -0.5 }), 400),
        (json!({ "tile_overlap_ratio": 0.999 }), 200),
        (json!({ "tile_overlap_ratio": 1 }), 400),
        (json!({ "tile_grid_size": "none" }), 200),
        (json!({ "tile_grid_size": "2x1" }), 200),
        (json!({ "tile_grid_size": "(2, 2)" }), 200),
        (json!({ "tile_grid_size": "1x1" }), 400),
        (json!({ "tile_grid_size": "17x1" }), 400),
        (json!({ "tile_grid_size": 2 }), 400),
        (json!({ "input_data": null }), 200),
        (json!({ "input_data": { "columns": ["image"], "data": [] } }), 400),
        (json!({ "image": null }), 400),
        (json!({ "image": [image] }), 200),
        (json!({ "xai_parameters": { "n_steps": 1 } }), 400),
        (json!({ "xai_parameters": { "n_steps": 2.5 } }), 400),
        (json!({ "xai_parameters": { "xai_algorithm": "sorcery" } }), 400),
        (json!({ "xai_parameters": { "confidence_score_threshold_multilabel": 2 } }), 400),
        (json!({ "xai_parameters": null }), 400),
        (json!({ "xai_parameters": [] }), 400),
        (json!({ "image": null, "input_data": [["image"], [image]] }), 400),
        (json!({ "model_explainability": null }), 400),
    ] {
        check_sent(&server, "/score?model=d", &with(options), status);
    }
    for (path, body, status) in [
        ("/v2/models/d/infer", json!({ "inputs": [] }), 400),
        ("/v2/models/d/infer", json!({ "inputs": [1] }), 400),
        ("/v2/models/d/infer", json!({ "inputs": [["images", "BYTES", [1], null, [image]]] }), 400),
        ("/score", json!([null, image]), 400),
        ("/v2/models/d/infer", json!({ "id": "i".repeat(256), "inputs": input(&image), "outputs": null }), 200),
        ("/v2/models/d/infer", json!({ "id": "ä".repeat(257), "inputs": input(&image) }), 400),
        ("/v2/models/d/infer", json!({ "inputs": input(&image), "outputs": [{ "name": "features" }] }), 400),
        ("/v2/models/d/infer", json!({ "inputs": input(&image), "parameters": { "binary_data_output": 1 } }), 400),
        ("/v2/models/d/infer", json!({ "inputs": input(&image), "parameters": null }), 200),
        ("/v2/models/d/infer", classes(&image, "boxes", &json!(null)), 200),
        ("/v2/models/d/infer", classes(&image, "boxes", &json!(1)), 400),
        ("/v2/models/d/infer", classes(&image, "probabilities", &json!(1)), 400),
        ("/v2/models/tiny/infer", classes(&image, "boxes", &json!(1)), 400),
    ] {
        check_sent(&server, path, &body, status);
    }
    for (count, status) in [("1", 200), ("2.0", 200), ("4", 200), ("1e300", 200), ("null", 200)]
        .into_iter()
        .chain(["0", "-1", "0.0", "1.5", "true", "\"1\"", "[1]", "{}"].map(|count| (count, 400)))
    {
        let count: Value = serde_json::from_str(count).unwrap();
        check_sent(&server, "/v2/models/tiny/infer", &classes(&image, "probabilities", &count), status);
    }
}

/// A request for an output as classes.
fn classes(image: &str, output: &str, count: &Value) -> Value {
    json!({ "inputs": input(image), "outputs": [{ "name": output, "parameters": { "classification": count } }] })
}

fn input(image: &str) -> Value {
    json!([{ "name": "images", "datatype": "BYTES", "shape": [1], "data": [[image]], "parameters": null }])
}

/// The check itself: an answer that the schemas do not foresee is noticed.
#[test]
fn a_disagreement_is_noticed() {
    let answer = |status: u16, code: &str, text: &str| Response {
        status,
        head: format!("HTTP/1.1 {status} X\r\ncontent-type: application/json"),
        body: json!({ "error": text, "code": code }).to_string().into_bytes(),
    };
    let json = [("Content-Type", "application/json")];
    let (good, bad) = (post("/score", &json, br#"{"image": "aGk="}"#), post("/score", &json, br#"{"image": 1}"#));
    let fails = |raw: &[u8], answer: &Response| panic::catch_unwind(|| check(raw, answer)).is_err();
    assert!(fails(&bad, &answer(200, "", "")), "accepted, and should not be");
    assert!(fails(&good, &answer(400, "invalid_json", "not what is expected")), "refused, and should not be");
    assert!(fails(&good, &answer(200, "", "")), "an answer of another shape");
    assert!(!fails(&bad, &answer(400, "invalid_json", "not what is expected")));
    assert!(!fails(&good, &answer(400, "invalid_image", "image 0: not an image")));
    assert!(!fails(&good, &answer(400, "invalid_request", "score_threshold is for models that detect objects; it")));
}
