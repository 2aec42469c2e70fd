//! The lines of an output: the answers of `/score`, or labelled rows.

use schemas::{
    ErrorCode, Labels, Task,
    dataset::Corners,
    prediction::{DetectionAnswer, MaskForm, ScoredBox, ranked},
};
use serde::Serialize;
use serde_json::{Map, Value};

use super::{
    error::{Fault, ScoreError},
    input::Item,
    options::{Answers, Shape},
};
use crate::{backend::Description, render::classified};

/// Fewest coordinates of a ring that encloses something.
const RING: usize = 6;

/// What a model says about one image.
#[derive(Clone, Debug)]
pub(super) enum Said {
    /// The probability of each label.
    Classes(Vec<f32>),
    /// The objects, best first.
    Objects(Vec<ScoredBox>),
}

/// What lines are made of.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Format {
    /// Answers of `/score`, with so many labels at most.
    Answer { most: Option<usize> },
    /// Rows of this task, with the labels of a set that are above the threshold.
    Rows { task: Task, threshold: f32 },
}

/// A line of the output, its end included.
pub(super) struct Line {
    pub text: String,
    /// Whether it says why there is no answer.
    pub failed: bool,
}

#[derive(Serialize)]
struct Failed<'a> {
    filename: Option<&'a str>,
    error: Reason<'a>,
}

#[derive(Serialize)]
struct Reason<'a> {
    code: ErrorCode,
    message: &'a str,
}

/// A row, as the trainer, Azure and labelling tools read them.
#[derive(Serialize)]
struct Row<'a> {
    image_url: &'a str,
    #[serde(flatten)]
    others: &'a Map<String, Value>,
    label: Label<'a>,
    label_confidence: Confidence,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Label<'a> {
    Class(&'a str),
    Classes(Vec<&'a str>),
    Boxes(Vec<BoxLabel<'a>>),
    Outlines(Vec<OutlineLabel<'a>>),
}

/// Of the label, or of each part of it.
#[derive(Serialize)]
#[serde(untagged)]
enum Confidence {
    One(f32),
    Each(Vec<f32>),
}

#[derive(Serialize)]
struct BoxLabel<'a> {
    label: &'a str,
    #[serde(flatten)]
    corners: Corners,
}

#[derive(Serialize)]
struct OutlineLabel<'a> {
    label: &'a str,
    polygon: Vec<&'a [f32]>,
}

impl Format {
    /// What the options ask for of this model.
    ///
    /// # Errors
    /// An option that does not go with the model or the shape.
    pub(super) fn new(shape: Shape, answers: &Answers, about: &Description) -> Result<Self, ScoreError> {
        let (task, labels) = (about.meta.task, about.meta.task.labels());
        let classifies = matches!(labels, Labels::Class | Labels::Classes);
        let refuse = |text: String| Err(ScoreError::Options(text));
        if answers.top_k.is_some() && !(classifies && shape == Shape::Answer) {
            return refuse(format!("--top-k is for classifiers and --format answer; the task of this model is {task}"));
        }
        if answers.label_threshold.is_some() && !(labels == Labels::Classes && shape == Shape::Rows) {
            let text = "--label-threshold is for multi-label classifiers and --format rows; the task of this model is";
            return refuse(format!("{text} {task}"));
        }
        if answers.label_threshold.is_some_and(|p| !(0.0..=1.0).contains(&p)) {
            return refuse("--label-threshold must lie in [0, 1]".to_owned());
        }
        if shape == Shape::Rows && answers.masks.is_some_and(|form| form != MaskForm::Polygon) {
            return refuse("rows hold polygons; leave --masks out, or choose --format answer".to_owned());
        }
        Ok(match shape {
            Shape::Answer => Self::Answer { most: answers.top_k.map(|k| k as usize) },
            Shape::Rows => {
                let threshold = answers.label_threshold.or_else(|| about.label_threshold()).unwrap_or_default();
                Self::Rows { task, threshold: threshold as f32 }
            }
        })
    }

    /// The line of an image.
    pub(super) fn line(self, item: &Item, said: Result<&Said, &Fault>, labels: &[String]) -> Line {
        let answered = said.map_err(Clone::clone).and_then(|said| match self {
            Self::Answer { most } => answer(item, said, labels, most),
            Self::Rows { task, threshold } => row(item, said, labels, (task, threshold)),
        });
        let (text, failed) = match answered {
            Ok(text) => (text, false),
            Err(Fault { code, message }) => {
                let error = Reason { code, message: &message };
                (json(&Failed { filename: item.name.as_deref(), error }).unwrap_or_default(), true)
            }
        };
        Line { text: text + "\n", failed }
    }
}

fn json(value: &impl Serialize) -> Result<String, Fault> {
    serde_json::to_string(value).map_err(|error| Fault::new(ErrorCode::Internal, error.to_string()))
}

fn answer(item: &Item, said: &Said, labels: &[String], most: Option<usize>) -> Result<String, Fault> {
    let filename = item.name.clone();
    match said {
        Said::Classes(probs) => json(&classified(filename.unwrap_or_default(), probs, labels, most, None)),
        Said::Objects(boxes) => json(&DetectionAnswer { filename, boxes: boxes.clone() }),
    }
}

fn row(item: &Item, said: &Said, labels: &[String], (task, threshold): (Task, f32)) -> Result<String, Fault> {
    let (label, label_confidence) = match (said, task.labels()) {
        (Said::Classes(probs), Labels::Classes) => classes(probs, labels, threshold),
        (Said::Classes(probs), Labels::Class | Labels::Boxes | Labels::Outlines) => {
            let best = ranked(probs).first().map(|&at| (labels.get(at), probs[at]));
            let Some((Some(label), p)) = best else {
                return Err(Fault::new(ErrorCode::Internal, "the model has no labels"));
            };
            (Label::Class(label), Confidence::One(p))
        }
        (Said::Objects(objects), Labels::Outlines) => outlines(objects),
        (Said::Objects(objects), Labels::Boxes | Labels::Class | Labels::Classes) => boxes(objects),
    };
    json(&Row { image_url: &item.url, others: &item.others, label, label_confidence })
}

fn classes<'a>(probs: &[f32], labels: &'a [String], threshold: f32) -> (Label<'a>, Confidence) {
    let above = probs.iter().zip(labels).filter(|(p, _)| **p > threshold);
    let (labels, confidence) = above.map(|(p, label)| (label.as_str(), *p)).unzip();
    (Label::Classes(labels), Confidence::Each(confidence))
}

/// Boxes that have an area; rows of others are not read.
fn boxes(objects: &[ScoredBox]) -> (Label<'_>, Confidence) {
    let has_area = |corners: &Corners| corners.top_x < corners.bottom_x && corners.top_y < corners.bottom_y;
    let kept = objects.iter().filter(|one| has_area(&one.corners));
    let (boxes, scores) = kept.map(|one| (BoxLabel { label: &one.label, corners: one.corners }, one.score)).unzip();
    (Label::Boxes(boxes), Confidence::Each(scores))
}

/// Objects that have an outline; rows of others are not read.
fn outlines(objects: &[ScoredBox]) -> (Label<'_>, Confidence) {
    let outlined = objects.iter().filter_map(|one| {
        let rings = one.polygon.iter().flatten().map(Vec::as_slice).filter(|ring| ring.len() >= RING);
        let polygon: Vec<&[f32]> = rings.collect();
        encloses(&polygon).then_some((OutlineLabel { label: &one.label, polygon }, one.score))
    });
    let (outlines, scores) = outlined.unzip();
    (Label::Outlines(outlines), Confidence::Each(scores))
}

/// Whether there is something between the outermost points of an outline.
fn encloses(polygon: &[&[f32]]) -> bool {
    let spread = |axis: usize| {
        let at = || polygon.iter().flat_map(|ring| ring.iter().skip(axis).step_by(2)).copied();
        at().fold(f32::INFINITY, f32::min) < at().fold(f32::NEG_INFINITY, f32::max)
    };
    spread(0) && spread(1)
}
