//! Description of the interface: an OpenAPI 3.1 document whose shapes are those of the types that the routes read and write.

use std::sync::LazyLock;

use schemars::{JsonSchema, SchemaGenerator, generate::SchemaSettings};
use schemas::{
    ErrorBody,
    prediction::{
        ClassificationAnswer, DetectionAnswer, ImageRequest, InferRequest, InferResponse, LoadRequest, ModelConfig,
        ModelMetadata, ModelReady, ModelState, ScoreQuery, ScoreRequest, ServerLive, ServerMetadata, ServerReady,
        Statistics,
    },
};
use serde_json::{Map, Value, json};

/// What a path's request can be refused for: the statuses of [`crate::error::ServerError`], and when they are answered.
const REFUSALS: [(&str, &str); 9] = [
    ("400", "The body, the JSON, the base64 or an image cannot be used"),
    ("403", "Clients may not load and unload models; the operator lets them with --model-control explicit"),
    ("404", "No such model or version"),
    ("408", "The request or its body did not arrive in time"),
    ("413", "The body, an image, their number or the memory they need is beyond the limit"),
    ("415", "Content type or content encoding not supported"),
    ("429", "No room now; see Retry-After"),
    ("500", "The model failed"),
    ("503", "Stopping, no worker is left, or a decoding thread is stuck"),
];
/// Those of a request with a body.
const OF_BODIES: &[&str] = &["400", "404", "408", "413", "415", "429", "500", "503"];

/// Those of a request that changes what is served.
const OF_CONTROL: &[&str] = &["400", "403", "404", "408", "413", "415", "429", "500", "503"];

/// The groups that operations are shown in, in this order.
const GROUPS: [(&str, &str); 5] = [
    ("score", "Images in, answers out"),
    ("v2", "The V2 protocol (Open Inference Protocol)"),
    ("repository", "Which models are served"),
    ("operation", "Health, metrics and this document"),
    ("pages", "What a browser shows"),
];

/// The group of a path.
fn group(path: &str) -> &'static str {
    match path {
        "/score" => "score",
        "/healthz" | "/metrics" | "/openapi.json" | "/swagger.json" => "operation",
        path if path.starts_with("/v2/repository/") => "repository",
        path if path.starts_with("/v2") => "v2",
        _ => "pages",
    }
}

/// The document, in JSON.
pub(crate) fn document() -> &'static str {
    static DOCUMENT: LazyLock<String> = LazyLock::new(|| build().to_string());
    &DOCUMENT
}

fn build() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| {
        settings.definitions_path = "/components/schemas".into();
        settings.meta_schema = None;
    });
    let mut describer = Describer { generator: settings.into_generator(), paths: Map::new() };
    describer.page();
    describer.score();
    describer.v2();
    describer.models();
    // The text of a cell may be JSON of its own.
    describer.schema::<ImageRequest<'static>>();
    let Describer { mut generator, mut paths } = describer;
    for (path, operations) in &mut paths {
        for method in ["get", "post"] {
            if let Some(operation) = operations.get_mut(method) {
                operation["tags"] = json!([group(path)]);
            }
        }
    }
    let groups = GROUPS.map(|(name, description)| json!({ "name": name, "description": description }));
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "Fovea server",
            "version": env!("CARGO_PKG_VERSION"),
            "description": "Serves exported vision models. Every error is an object with `error` (text) and `code` (a stable name), \
                            also where what was sent is no HTTP request (400, 431) or its head did not arrive in time (408).",
            "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
        },
        "tags": groups,
        "paths": paths,
        "components": {
            "parameters": {
                "Model": {
                    "name": "model", "in": "path", "required": true,
                    "schema": { "type": "string", "pattern": "^[A-Za-z0-9_-][A-Za-z0-9_.-]{0,63}$" },
                },
                "Version": { "name": "version", "in": "path", "required": true, "schema": { "type": "string", "pattern": "^[1-9][0-9]{0,19}$" } },
                "HeaderLength": {
                    "name": "Inference-Header-Content-Length", "in": "header",
                    "description": "Length of the JSON that tensor bytes follow; 0 when the body is one encoded image and nothing else.",
                    "schema": { "type": "integer", "minimum": 0 },
                },
            },
            "headers": {
                "ServerTiming": {
                    "description": "Milliseconds per stage, summed over the images: decode, prepare, queue, run, render.",
                    "schema": { "type": "string" },
                },
            },
            "schemas": generator.take_definitions(true),
        },
    })
}

/// Collects paths, and the schemas that they refer to.
struct Describer {
    generator: SchemaGenerator,
    paths: Map<String, Value>,
}

/// A GET without parameters.
struct Read<'a> {
    path: &'a str,
    id: &'a str,
    summary: &'a str,
    description: &'a str,
}

impl Describer {
    /// A reference to the schema of `T`.
    fn schema<T: JsonSchema>(&mut self) -> Value {
        self.generator.subschema_for::<T>().to_value()
    }

    /// A body in JSON.
    fn json<T: JsonSchema>(&mut self) -> Value {
        json!({ "application/json": { "schema": self.schema::<T>() } })
    }

    /// Responses: the good one, and these refusals.
    fn responses(&mut self, good: Value, refusals: &[&str]) -> Value {
        let content = self.json::<ErrorBody>();
        let mut all = Map::from_iter([("200".to_owned(), good)]);
        for (status, description) in REFUSALS.iter().filter(|(status, _)| refusals.contains(status)) {
            all.insert((*status).to_owned(), json!({ "description": description, "content": content }));
        }
        Value::Object(all)
    }

    fn read(&mut self, read: &Read<'_>, content: Option<Value>, refusals: &[&str]) {
        let mut good = json!({ "description": read.description });
        if let Some(content) = content {
            good["content"] = content;
        }
        let responses = self.responses(good, refusals);
        let operation = json!({ "operationId": read.id, "summary": read.summary, "responses": responses });
        self.paths.insert(read.path.to_owned(), json!({ "get": operation }));
    }

    fn page(&mut self) {
        for (path, id, summary, media, description) in [
            ("/", "page", "A page to try the models on", "text/html", "HTML"),
            ("/assets/app.js", "pageScript", "The page's script", "text/javascript", "JavaScript"),
            ("/assets/app.css", "pageStyle", "The page's style", "text/css", "CSS"),
            ("/assets/icon.svg", "pageIcon", "The page's icon", "image/svg+xml", "SVG"),
            ("/docs", "docs", "The interface, to read and to try", "text/html", "HTML"),
            (
                "/docs/viewer.js",
                "docsScript",
                "What starts the viewer of the interface",
                "text/javascript",
                "JavaScript",
            ),
            ("/docs/viewer.css", "docsStyle", "The style around the viewer", "text/css", "CSS"),
            ("/docs/swagger-ui.js", "docsLibrary", "The viewer, Swagger UI", "text/javascript", "JavaScript"),
            ("/docs/swagger-ui.css", "docsLibraryStyle", "The viewer's style", "text/css", "CSS"),
            ("/docs/license.txt", "docsLicense", "Swagger UI's licence", "text/plain", "Text"),
            ("/metrics", "metrics", "Counts and timings, in Prometheus' text format", "text/plain", "Metrics"),
            ("/openapi.json", "openapi", "This document", "application/json", "OpenAPI 3.1"),
            (
                "/swagger.json",
                "swagger",
                "The same, where Azure's clients look for it",
                "application/json",
                "OpenAPI 3.1",
            ),
        ] {
            self.read(&Read { path, id, summary, description }, Some(json!({ media: {} })), &[]);
        }
    }

    /// The query string's names, each with the schema of its field.
    fn query(&mut self) -> Vec<Value> {
        let schema = self.generator.clone().into_root_schema_for::<ScoreQuery>().to_value();
        let fields = schema.get("properties").and_then(Value::as_object).cloned().unwrap_or_default();
        let parameter = |(name, mut schema): (String, Value)| {
            let description = schema.as_object_mut().and_then(|schema| schema.remove("description"));
            json!({ "name": name, "in": "query", "description": description, "schema": schema })
        };
        fields.into_iter().map(parameter).collect()
    }

    fn score(&mut self) {
        let image = json!({ "schema": { "type": "string", "contentMediaType": "image/*" } });
        let file = json!({ "type": "string", "contentMediaType": "application/octet-stream" });
        let answers = [
            self.schema::<ClassificationAnswer<'static>>(),
            self.schema::<Vec<ClassificationAnswer<'static>>>(),
            self.schema::<DetectionAnswer>(),
            self.schema::<Vec<DetectionAnswer>>(),
        ];
        let good = json!({
            "description": "One object for the bytes of an image and for `image`, a list for `input_data`; the image itself for `drawn`",
            "headers": { "Server-Timing": { "$ref": "#/components/headers/ServerTiming" } },
            "content": { "application/json": { "schema": { "anyOf": answers } }, "image/jpeg": {}, "image/png": {} },
        });
        let responses = self.responses(good, OF_BODIES);
        let post = json!({
            "operationId": "score",
            "summary": "Classify, or find the objects in, one image (bytes, or JSON) or several (JSON)",
            "parameters": self.query(),
            "requestBody": {
                "required": true,
                "content": {
                    "application/octet-stream": image,
                    "image/*": image,
                    "multipart/form-data": {
                        "schema": {
                            "type": "object",
                            "description": "Each file is an image; several are answered with a list. Other fields are options of the query string.",
                            // One by name, so that forms made of this have a field for a file.
                            "properties": { "image": file },
                            "additionalProperties": file,
                        },
                    },
                    "application/json": {
                        "schema": self.schema::<ScoreRequest<'static>>(),
                        "examples": examples(&SCORE_EXAMPLES),
                    },
                },
            },
            "responses": responses,
        });
        let content = json!({ "text/plain": { "schema": { "type": "string" } } });
        let summary = "Health check: answers with the path";
        self.read(&Read { path: "/score", id: "scoreHealth", summary, description: "`/score`" }, Some(content), &[]);
        self.paths["/score"]["post"] = post;
    }

    fn v2(&mut self) {
        let summary = "V2: server metadata";
        let read = Read { path: "/v2", id: "serverMetadata", summary, description: "Name, version, extensions" };
        let content = self.json::<ServerMetadata>();
        self.read(&read, Some(content), &[]);
        let summary = "V2: the process answers";
        let content = self.json::<ServerLive>();
        self.read(&Read { path: "/v2/health/live", id: "live", summary, description: "It does" }, Some(content), &[]);
        let content = self.json::<ServerLive>();
        let summary = "The process answers";
        self.read(&Read { path: "/healthz", id: "healthz", summary, description: "It does" }, Some(content), &[]);
        let content = self.json::<Statistics>();
        let summary = "V2: the work of all models, as Triton counts it";
        let read = Read { path: "/v2/models/stats", id: "statistics", summary, description: "Counts and times" };
        self.read(&read, Some(content), &[]);
        let summary = "V2: the server wants requests";
        let content = self.json::<ServerReady>();
        let read = Read { path: "/v2/health/ready", id: "ready", summary, description: "It does" };
        self.read(&read, Some(content), &["503"]);
        let good = json!({
            "description": "Models, the one that answers /score first",
            "content": self.json::<Vec<ModelState>>(),
        });
        let responses = self.responses(good, &[]);
        let summary = "V2: every version of the models, with its state";
        let operation = json!({ "operationId": "repositoryIndex", "summary": summary, "responses": responses });
        self.paths.insert("/v2/repository/index".to_owned(), json!({ "post": operation }));
        for (call, id, summary) in [
            ("load", "repositoryLoad", "V2: loads the newest of a model, or a changed file; answers when it is served"),
            ("unload", "repositoryUnload", "V2: takes a model from service; requests that have it are answered"),
        ] {
            let responses = self.responses(json!({ "description": "It is done" }), OF_CONTROL);
            let body = json!({ "content": self.json::<LoadRequest>() });
            let operation =
                json!({ "operationId": id, "summary": summary, "requestBody": body, "responses": responses });
            let model = json!([{ "$ref": "#/components/parameters/Model" }]);
            self.paths.insert(
                format!("/v2/repository/models/{{model}}/{call}"),
                json!({ "post": operation, "parameters": model }),
            );
        }
    }

    /// The paths of one model, with and without its version.
    fn models(&mut self) {
        let model = json!({ "$ref": "#/components/parameters/Model" });
        let version = json!({ "$ref": "#/components/parameters/Version" });
        for (base, prefix, parameters) in [
            ("/v2/models/{model}", "model", json!([model])),
            ("/v2/models/{model}/versions/{version}", "modelVersion", json!([model, version])),
        ] {
            let (id, summary) = (format!("{prefix}Metadata"), "V2: inputs, outputs and labels of a model");
            let content = self.json::<ModelMetadata>();
            self.read(&Read { path: base, id: &id, summary, description: "Metadata" }, Some(content), &["404"]);
            let (path, id) = (format!("{base}/ready"), format!("{prefix}Ready"));
            let content = self.json::<ModelReady>();
            let summary = "V2: a worker of the model is there to answer";
            self.read(&Read { path: &path, id: &id, summary, description: "It is" }, Some(content), &["404", "503"]);
            let (config, id) = (format!("{base}/config"), format!("{prefix}Config"));
            let content = self.json::<ModelConfig>();
            let summary = "V2: how a model is set up, in Triton's words";
            self.read(&Read { path: &config, id: &id, summary, description: "Configuration" }, Some(content), &["404"]);
            let (stats, id) = (format!("{base}/stats"), format!("{prefix}Statistics"));
            let content = self.json::<Statistics>();
            let summary = "V2: the work of a model, as Triton counts it";
            self.read(
                &Read { path: &stats, id: &id, summary, description: "Counts and times" },
                Some(content),
                &["404"],
            );
            let infer = self.infer(&format!("{prefix}Infer"));
            self.paths.insert(format!("{base}/infer"), json!({ "post": infer }));
            for path in [base.to_owned(), path, config, stats, format!("{base}/infer")] {
                self.paths[&path]["parameters"] = parameters.clone();
            }
        }
    }

    fn infer(&mut self, id: &str) -> Value {
        let bytes = json!({ "schema": { "type": "string", "description": "JSON and the tensors' bytes" } });
        let mut answer = self.json::<InferResponse>();
        answer["application/octet-stream"] = bytes.clone();
        let good = json!({
            "description": "The outputs",
            "headers": { "Server-Timing": { "$ref": "#/components/headers/ServerTiming" } },
            "content": answer,
        });
        let responses = self.responses(good, OF_BODIES);
        json!({
            "operationId": id,
            "summary": "V2: inference, with the extensions of binary tensors and of classification",
            "parameters": [{ "$ref": "#/components/parameters/HeaderLength" }],
            "requestBody": {
                "required": true,
                "content": {
                    "application/json": {
                        "schema": self.schema::<InferRequest<'static>>(),
                        "examples": examples(&INFER_EXAMPLES),
                    },
                    "application/octet-stream": bytes,
                },
            },
            "responses": responses,
        })
    }
}

/// A PNG of one pixel, in base64.
const PIXEL: &str = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR42mM4kWIEAANWAV/W6lf+AAAAAElFTkSuQmCC";

/// Requests to `/score` as they are documented, by name; `PIXEL` stands for an image in base64.
const SCORE_EXAMPLES: [(&str, &str); 5] = [
    ("one image", r#"{"image": "PIXEL"}"#),
    ("several images", r#"{"input_data": {"columns": ["image"], "data": ["PIXEL", "PIXEL"]}}"#),
    ("a table as pandas writes it", r#"{"input_data": {"columns": ["image"], "index": [0], "data": [["PIXEL"]]}}"#),
    (
        "an explained answer of a classifier",
        r#"{"image": "PIXEL", "model_explainability": true, "xai_parameters": {"attributions": true}}"#,
    ),
    (
        "thresholds and tiles of a prepared detector",
        r#"{"image": "PIXEL", "score_threshold": 0.5, "iou_threshold": 0.5, "tile_grid_size": "3x2"}"#,
    ),
];

/// Requests for inference as they are documented, by name.
const INFER_EXAMPLES: [(&str, &str); 3] = [
    ("encoded images", r#"{"inputs": [{"name": "images", "datatype": "BYTES", "shape": [1], "data": ["PIXEL"]}]}"#),
    (
        "pixels of a whole file",
        r#"{"inputs": [{"name": "images", "datatype": "UINT8", "shape": [1, 1, 2, 3], "data": [0, 0, 0, 255, 255, 255]}]}"#,
    ),
    (
        "the most probable classes of a classifier as texts",
        r#"{"inputs": [{"name": "images", "datatype": "BYTES", "shape": [1], "data": ["PIXEL"]}], "outputs": [{"name": "probabilities", "parameters": {"classification": 2}}]}"#,
    ),
];

fn examples(all: &[(&str, &str)]) -> Value {
    let example = |(name, text): &(&str, &str)| {
        let value: Value = serde_json::from_str(&text.replace("PIXEL", PIXEL)).unwrap_or_default();
        ((*name).to_owned(), json!({ "value": value }))
    };
    Value::Object(all.iter().map(example).collect())
}
