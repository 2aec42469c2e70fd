//! `trainer predict`: classes of images or the objects in them, and images with the answer on them.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context;
use files::{Checked, Order, Scope, Target, Writing, console};
use models::detect::Selection;
use models::host::{self, Limits, Rgb, caption, draw};
use schemas::dataset::Corners;
use schemas::error::ErrorCode;
use schemas::prediction::{Detection, XaiParameters};
use schemas::{Labels, Settings};
use serde_json::{Map, Value, json};

use super::Answer;
use crate::cli::args::{ExplainArgs, PredictArgs};
use crate::failure::{self, fail};
use crate::predict::explain;
use crate::predict::trained::Trained;
use crate::tasks::detect::evaluate as boxes;

/// Answers about each image; an image that cannot be read is reported and the others are still answered, and the exit code
/// is 1.
///
/// # Errors
/// When the model cannot be opened, no image could be read, or what is saved may not or cannot be written.
pub fn run(args: &PredictArgs) -> anyhow::Result<Answer> {
    // Before the model has done its work, whether what it draws may be written.
    let saving = args.save.as_deref().map(|folder| Saving::check(args, folder)).transpose()?;
    let mut predictor = Predictor::open(args)?;
    let mut saving = saving.map(Saving::begin).transpose()?;
    let (mut text, mut rows, mut failed) = (String::new(), Vec::new(), Vec::new());
    for (number, path) in args.images.iter().enumerate() {
        match read(path) {
            Ok(image) => {
                let prediction = predictor.predict(&image)?;
                writeln!(text, "{}: {}", path.display(), prediction.line)?;
                let saved = saving.as_mut().map(|saving| saving.save(number, &prediction.drawn(&image))).transpose()?;
                let mut row = prediction.json;
                row.insert("filename".to_owned(), json!(path));
                row.insert("saved".to_owned(), json!(saved));
                rows.push(Value::Object(row));
            }
            Err(error) => {
                let error = failure::text(&error);
                failed.push(format!("{}: {error}", path.display()));
                rows.push(json!({ "filename": path, "error": error }));
            }
        }
    }
    if failed.len() == args.images.len() {
        return Err(fail(ErrorCode::InvalidImage, failed.join("\n")));
    }
    if !failed.is_empty() {
        console::say(&format!(
            "error: {} of {} images have no prediction:\n  {}",
            failed.len(),
            args.images.len(),
            failed.join("\n  ")
        ));
    }
    if let Some(saving) = saving {
        saving.writing.publish()?;
    }
    let answer = Answer::done(text.trim_end().to_owned(), json!({ "predictions": Value::Array(rows) }));
    Ok(answer.done_but(failed.len()))
}

/// Classes that are named unless asked otherwise, where one is the answer.
const TOP: usize = 3;

/// A model with the options of its predictions.
struct Predictor {
    model: Trained,
    settings: Settings,
    selection: Selection<f32>,
    top: usize,
    explain: Option<XaiParameters>,
}

/// The prediction of one image: for people, for programs, and drawn.
struct Prediction {
    line: String,
    json: Map<String, Value>,
    marks: Marks,
}

/// What is drawn on an image.
enum Marks {
    /// Lines of text below it.
    Lines(Vec<String>),
    /// Objects with their labels, and the probability from which a pixel is of one.
    Objects(Vec<Detection>, Vec<String>, f32),
    /// Another image: what the answer came from.
    Explained(Rgb),
}

impl Predictor {
    fn open(args: &PredictArgs) -> anyhow::Result<Self> {
        let model = args.model.open()?;
        let settings = model.settings_with(&[
            ("box_score_thresh", args.score_threshold.map(Value::from)),
            ("box_nms_thresh", args.iou_threshold.map(Value::from)),
            ("tile_grid_size", args.tile_grid_size.clone().map(Value::from)),
        ])?;
        let selection = boxes::predicting(&settings);
        let usual = match model.meta().task.labels() {
            Labels::Classes => usize::MAX,
            Labels::Class | Labels::Boxes | Labels::Outlines => TOP,
        };
        let explain = explaining(&args.explain, &model, args.save.is_some())?;
        Ok(Self { model, settings, selection, top: args.top.unwrap_or(usual).max(1), explain })
    }

    fn predict(&mut self, image: &Rgb) -> anyhow::Result<Prediction> {
        let labels = self.model.meta().labels.clone();
        match self.model.meta().task.labels() {
            Labels::Class => self.classes(image, &labels, f32::NEG_INFINITY),
            Labels::Classes => self.classes(image, &labels, self.settings.label_threshold as f32),
            Labels::Boxes | Labels::Outlines => {
                let found = self.model.detect(image, &self.settings, &self.selection)?;
                let counts = labels.iter().enumerate().filter_map(|(class, label)| {
                    let count = found.iter().filter(|d| d.label == class).count();
                    (count > 0).then(|| format!("{count} {label}"))
                });
                let line = counts.collect::<Vec<_>>().join(", ");
                let boxes: Vec<Value> = found.iter().map(|d| self.scored(d, &labels, image)).collect();
                Ok(Prediction {
                    line: if line.is_empty() { "nothing".to_owned() } else { line },
                    json: Map::from_iter([("boxes".to_owned(), Value::Array(boxes))]),
                    marks: Marks::Objects(found, labels, self.settings.mask_pixel_score_threshold as f32),
                })
            }
        }
    }
}

impl Predictor {
    /// The most probable classes of those whose probability is above `threshold`. The JSON has all of them.
    fn classes(&mut self, image: &Rgb, labels: &[String], threshold: f32) -> anyhow::Result<Prediction> {
        let probabilities = self.model.classify(image)?;
        let lines = caption::classes(labels, &probabilities, threshold, self.top);
        let line = lines.join(", ");
        let mut json =
            Map::from_iter([("labels".to_owned(), json!(labels)), ("probs".to_owned(), json!(probabilities))]);
        let mut marks = Marks::Lines(lines);
        if let Some(p) = &self.explain {
            let explanation = explain::explain(&mut self.model, image, p)?;
            json.insert("explanations".to_owned(), explanation.json(labels, p.attributions));
            if let Some(drawn) = explanation.drawn(labels, &probabilities).filter(|_| p.visualizations) {
                marks = Marks::Explained(drawn);
            }
        }
        Ok(Prediction { line, json, marks })
    }
}

impl Prediction {
    fn drawn(&self, image: &Rgb) -> Rgb {
        match &self.marks {
            Marks::Lines(lines) => caption::below(image, lines),
            Marks::Objects(found, labels, threshold) => draw::detections(image, found, labels, *threshold),
            Marks::Explained(drawn) => drawn.clone(),
        }
    }
}

/// What is asked of an explanation, if there is to be one.
fn explaining(args: &ExplainArgs, model: &Trained, saved: bool) -> anyhow::Result<Option<XaiParameters>> {
    let Some(algorithm) = args.explain else { return Ok(None) };
    explain::check(model, algorithm)?;
    if !saved && !args.attributions {
        let text =
            "--explain draws an image or gives numbers: name a folder with --save, or ask for --attributions --json";
        return Err(fail(ErrorCode::InvalidSettings, text));
    }
    if !(0.0..=1.0).contains(&args.threshold) {
        let text = format!("confidence_score_threshold_multilabel {} is not in [0, 1]", args.threshold);
        return Err(fail(ErrorCode::InvalidSettings, text));
    }
    Ok(Some(XaiParameters {
        xai_algorithm: Some(algorithm),
        visualizations: saved,
        attributions: args.attributions,
        confidence_score_threshold_multilabel: args.threshold,
        n_steps: args.n_steps,
        xrai_fast: args.xrai_fast,
        approximation_method: args.approximation_method,
    }))
}

impl Predictor {
    /// An object as the specification's scoring JSON has it: box and polygon are fractions of the image's size.
    fn scored(&self, d: &Detection, labels: &[String], image: &Rgb) -> Value {
        let [x1, y1, x2, y2] = d.corners.map(f64::from);
        let (w, h) = (f64::from(image.width), f64::from(image.height));
        let corners = Corners { top_x: x1 / w, top_y: y1 / h, bottom_x: x2 / w, bottom_y: y2 / h };
        let mut json = json!({ "box": corners, "label": labels[d.label], "score": d.score });
        if let Some(mask) = &d.mask {
            let most = self.settings.max_number_of_polygon_points as usize;
            let paste = boxes::pasting(&self.settings, image.width, image.height);
            json["polygon"] = json!(paste.polygon(mask.values(), d.corners, most));
        }
        json
    }
}

/// An image for a model.
///
/// # Errors
/// When it cannot be read or decoded.
pub(super) fn read(path: &Path) -> anyhow::Result<Rgb> {
    let bytes = std::fs::read(path).context("cannot be read")?;
    Ok(host::decode(&bytes, &Limits::default())?)
}

/// Images with their answers, on their way into a folder.
struct Saving<W> {
    folder: PathBuf,
    /// File names, an image each.
    names: Vec<String>,
    writing: W,
}

impl Saving<Checked> {
    /// Each image is saved under its own name as a JPEG; of images of one name the later ones get a number.
    fn check(args: &PredictArgs, folder: &Path) -> anyhow::Result<Self> {
        let mut taken = BTreeSet::new();
        let names: Vec<String> = args.images.iter().map(|path| file_name(path, &mut taken)).collect();
        let targets: Vec<Target> = names.iter().map(Target::new).collect();
        let reads: Vec<PathBuf> = args.images.iter().chain(args.model.reads()).cloned().collect();
        let order = Order { command: "predict --save", output: folder, overwrite: args.overwrite, reads: &reads };
        Ok(Self { folder: folder.to_owned(), names, writing: order.folder(Scope::Each, &targets)? })
    }

    fn begin(self) -> anyhow::Result<Saving<Writing>> {
        Ok(Saving { folder: self.folder, names: self.names, writing: self.writing.begin()? })
    }
}

impl Saving<Writing> {
    fn save(&mut self, number: usize, drawn: &Rgb) -> anyhow::Result<PathBuf> {
        let name = &self.names[number];
        self.writing.write(name, |out| out.write_all(&host::encode_jpeg(drawn, 90)))?;
        Ok(self.folder.join(name))
    }
}

/// The name an image is saved under; `taken` has those given away, in small letters.
fn file_name(image: &Path, taken: &mut BTreeSet<String>) -> String {
    let stem = image.file_stem().unwrap_or(image.as_os_str()).to_string_lossy();
    let numbered = (2..).map(|number| format!("{stem}-{number}"));
    let mut names = std::iter::once(stem.clone().into_owned()).chain(numbered);
    let free = names.find(|name| taken.insert(name.to_lowercase())).unwrap_or_default();
    format!("{free}.jpg")
}
