//! What programs answer about a restored run and the files made from it.

use std::fs;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::cases::Case;
use crate::data::image_name;
use crate::programs::Programs;

/// Images that are asked about.
const ASKED: u64 = 3;
/// In the body of a request: the image of this name, encoded in base64.
const IMAGE: &str = "{BASE64 ";

/// A request to the server.
#[derive(Debug, Serialize, Deserialize)]
pub struct Request {
    /// Method and path.
    line: String,
    media_type: String,
    body: Body,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Body {
    /// Nothing.
    Empty,
    /// The file of this name.
    File(String),
    /// Text; `{BASE64 NAME}` stands for the file of this name.
    Text(String),
}

impl Body {
    fn bytes(&self, place: &Path) -> Vec<u8> {
        let file = |name: &str| fs::read(place.join(name)).unwrap();
        match self {
            Self::Empty => vec![],
            Self::File(name) => file(name),
            Self::Text(text) => {
                let mut parts = text.split(IMAGE);
                let mut body = parts.next().unwrap_or_default().to_owned();
                for part in parts {
                    let (name, rest) = part.split_once('}').unwrap();
                    STANDARD.encode_string(file(name), &mut body);
                    body.push_str(rest);
                }
                body.into_bytes()
            }
        }
    }
}

/// The requests that a new fixture gets: every route that answers, for both forms of the file.
pub fn requests(case: &Case) -> Vec<Request> {
    let image = |number| format!("data/{}", image_name("test", number));
    let encoded = |number| format!("{IMAGE}{}}}", image(number));
    let request =
        |line: &str, media_type: &str, body| Request { line: line.to_owned(), media_type: media_type.to_owned(), body };
    let as_json = |line: &str, body: &Value| request(line, "application/json", Body::Text(body.to_string()));
    let mut all =
        vec![request("GET /v2", "text/plain", Body::Empty), request("GET /v2/health/ready", "text/plain", Body::Empty)];
    for model in case.forms {
        let score = format!("POST /score?model={model}");
        let infer = format!("POST /v2/models/{model}/infer");
        all.push(request(&format!("GET /v2/models/{model}"), "text/plain", Body::Empty));
        all.push(request(&score, "image/bmp", Body::File(image(0))));
        all.push(as_json(&score, &json!({ "image": encoded(1) })));
        let table = json!({ "columns": ["image"], "data": [encoded(0), encoded(2)] });
        all.push(as_json(&score, &json!({ "input_data": table })));
        if !case.is_detector() {
            let images = json!({ "name": "images", "datatype": "BYTES", "shape": [1], "data": [encoded(1)] });
            all.push(as_json(&infer, &json!({ "inputs": [images] })));
        }
    }
    if case.is_detector() && case.forms.contains(&"prepared") {
        let line = "POST /score?model=prepared&score_threshold=0.002&iou_threshold=0.3&tile_grid_size=1x2";
        all.push(request(line, "image/bmp", Body::File(image(0))));
    }
    all.push(request("POST /score?model=nobody", "image/bmp", Body::File(image(0))));
    all
}

/// A case in the folder where its files are.
pub struct Asked<'a> {
    /// The case.
    pub case: &'a Case,
    /// Programs that are run in that folder.
    pub programs: &'a Programs<'a>,
}

impl Asked<'_> {
    /// Everything that is recorded and compared, step by step. Nothing in the run changes but in the last step.
    pub fn all(&self, requests: &[Request]) -> Value {
        let mut answers = self.models();
        answers.insert("serve".to_owned(), self.serve(requests));
        answers.insert("resume".to_owned(), self.resume());
        Value::Object(answers)
    }

    /// What the checkpoint and the files answer, those that are kept and those that are exported now.
    fn models(&self) -> Map<String, Value> {
        let mut answers = Map::new();
        answers.insert("evaluate checkpoint".to_owned(), self.evaluate(["--checkpoint", "run"]));
        answers.insert("predict checkpoint".to_owned(), self.predict(["--checkpoint", "run"]));
        for form in self.case.forms {
            let file = format!("{form}.onnx");
            let said = self.predict(["--onnx", &file]);
            answers.insert(format!("evaluate {form}"), self.evaluate(["--onnx", &file]));
            answers.insert(format!("export {form}"), self.export(form, &said));
            answers.insert(format!("predict {form}"), said);
        }
        answers
    }

    /// The metrics of a model.
    pub fn evaluate(&self, model: [&str; 2]) -> Value {
        let answer = self.programs.answer("trainer", &["evaluate", model[0], model[1], "--data", "data/test.jsonl"]);
        only(&answer, &["images", "rejected", "metrics"])
    }

    /// What a model says about a few images.
    pub fn predict(&self, model: [&str; 2]) -> Value {
        let images: Vec<String> = (0..ASKED).map(|number| format!("data/{}", image_name("test", number))).collect();
        let options = self.case.predict.iter().flat_map(|&(name, value)| [name, value]);
        let arguments: Vec<&str> = ["predict", model[0], model[1]]
            .into_iter()
            .chain(options)
            .chain(images.iter().map(String::as_str))
            .collect();
        self.programs.answer("trainer", &arguments)
    }

    /// Facts of a file that is exported now, and what it says. Where it is the kept file, byte for byte, that has been asked.
    fn export(&self, form: &str, said: &Value) -> Value {
        let file = format!("now-{form}.onnx");
        let exported = self.programs.answer("exporter", &["--checkpoint", "run", "--form", form, "--output", &file]);
        let read = |name: &str| fs::read(self.programs.place.join(name)).unwrap();
        let same = read(&file) == read(&format!("{form}.onnx"));
        json!({
            "status": exported["status"],
            "file": only(&exported["export"], &["form", "model_name", "task", "classes"]),
            "says": if same { said.clone() } else { self.predict(["--onnx", &file]) },
        })
    }

    fn serve(&self, requests: &[Request]) -> Value {
        let models: Vec<String> = self.case.forms.iter().map(|form| format!("{form}={form}.onnx")).collect();
        let server = self.programs.serve(&models.iter().map(String::as_str).collect::<Vec<_>>());
        let ask = |r: &Request| {
            let answer = server.ask(&r.line, &r.media_type, &r.body.bytes(self.programs.place));
            json!({ "request": r.line, "answer": answer })
        };
        requests.iter().map(ask).collect()
    }

    /// The records of all epochs once the run has gone on to its end. Of epochs that are trained now only the loss is kept: what
    /// is measured after them depends on the last digits, since steps on a few small images magnify these. (That a resumed run equals
    /// an undisturbed one bit for bit is another test's.)
    fn resume(&self) -> Value {
        let run = self.programs.place.join("run");
        let read = |name: &str| fs::read_to_string(run.join(name)).unwrap();
        let (journal, kept) = (read("journal.jsonl"), read("metrics.jsonl").lines().count());
        let answer = self.programs.answer("trainer", &["train", "--output", "run", "--resume"]);
        assert!(answer["metrics"].as_object().is_some_and(|metrics| !metrics.is_empty()), "it is measured: {answer}");
        assert!(read("journal.jsonl").starts_with(&journal), "the journal is only added to");
        for made in ["report.html", "report.json", "checkpoints/best/model.onnx"] {
            assert!(run.join(made).is_file(), "{made} is missing in a resumed run");
        }
        let text = read("metrics.jsonl");
        let records = text.lines().enumerate().map(|(number, line)| {
            let record: Value = serde_json::from_str(line).unwrap();
            let parts = ["epoch", "learning_rate", "train", "validation"];
            only(&record, if number < kept { &parts } else { &parts[..3] })
        });
        json!({ "epochs": records.collect::<Vec<_>>() })
    }
}

/// These parts of an object.
fn only(value: &Value, names: &[&str]) -> Value {
    names.iter().map(|&name| (name.to_owned(), value[name].clone())).collect::<Map<_, _>>().into()
}
