//! Reading the committed fixtures.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::Deserialize;

/// A path under `tests/fixtures`, or under the folder that `FOVEA_FIXTURES` names: where these tests were built, and where the
/// project lies, need not be where they run.
#[must_use]
pub fn path(name: &str) -> PathBuf {
    let built = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    std::env::var_os("FOVEA_FIXTURES").map_or_else(built, PathBuf::from).join(name)
}

/// The text of a fixture.
///
/// # Panics
/// When it cannot be read.
#[track_caller]
#[must_use]
pub fn text(name: &str) -> String {
    std::fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("fixture {name}: {e}"))
}

/// One line of a key list.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// State-dict key.
    pub key: String,
    /// PyTorch's name of the element type.
    pub dtype: String,
    /// Sizes; empty for a scalar.
    pub shape: Vec<i64>,
}

/// The published state dict of a model with 1000 classes, in its order.
///
/// # Panics
/// When the fixture is missing or malformed.
#[track_caller]
#[must_use]
pub fn keys(model: &str) -> Vec<Key> {
    let parse = |line: &str| {
        let mut parts = line.split(' ');
        let (key, dtype, dims) = (parts.next()?, parts.next()?, parts.next()?);
        let dims = dims.strip_prefix('[')?.strip_suffix(']')?;
        let shape = dims.split(',').filter(|d| !d.is_empty()).map(|d| d.parse().ok()).collect::<Option<Vec<i64>>>()?;
        Some(Key { key: key.to_owned(), dtype: dtype.to_owned(), shape })
    };
    text(&format!("keys/{model}.txt"))
        .lines()
        .map(|line| parse(line).unwrap_or_else(|| panic!("keys/{model}.txt: {line:?}")))
        .collect()
}

/// What the oracle computed for one model; see `scripts/oracle/forward.py`.
#[derive(Debug, Deserialize)]
pub struct Forward {
    /// Number of classes.
    pub classes: i64,
    /// Evaluation mode.
    pub eval: Vec<Logits>,
    /// One training step.
    pub train: Step,
}

/// Logits for one input.
#[derive(Debug, Deserialize)]
pub struct Logits {
    /// Name in the formula.
    pub input: String,
    /// `[N, 3, h, w]`.
    pub shape: Vec<i64>,
    /// `[N][classes]`, float32.
    pub logits: Vec<Vec<f32>>,
}

/// A training step in float64.
#[derive(Debug, Deserialize)]
pub struct Step {
    /// Name in the formula.
    pub input: String,
    /// `[N, 3, h, w]`.
    pub shape: Vec<i64>,
    /// Class per image.
    pub targets: Vec<i64>,
    /// How far PyTorch's own float32 step is from this one, relative.
    pub float32_noise: f64,
    /// Mean cross entropy.
    pub loss: f64,
    /// Norm and probe of each parameter's gradient.
    pub gradients: BTreeMap<String, [f64; 2]>,
    /// Norm and probe of each running statistic after the step.
    pub buffers: BTreeMap<String, [f64; 2]>,
}

/// The fixture of a model.
///
/// # Panics
/// When it is missing or malformed.
#[track_caller]
#[must_use]
pub fn forward(model: &str) -> Forward {
    let name = format!("forward/{model}.json");
    serde_json::from_str(&text(&name)).unwrap_or_else(|e| panic!("fixture {name}: {e}"))
}

/// What the oracle computed for one detector; see `scripts/oracle/detect_forward.py`.
#[derive(Debug, Deserialize)]
pub struct DetectForward {
    /// One for each input.
    pub cases: Vec<DetectCase>,
}

/// Raw outputs and detections of one batch.
#[derive(Debug, Deserialize)]
pub struct DetectCase {
    /// Name in the formula.
    pub input: String,
    /// `[N, 3, h, w]`.
    pub shape: Vec<i64>,
    /// Height and width of each image within the input.
    pub inner: Vec<[i64; 2]>,
    /// Number of classes, without a background.
    pub classes: i64,
    /// Score threshold.
    pub score: f32,
    /// Threshold of the intersection over union.
    pub iou: f32,
    /// Most detections an image.
    pub cap: i64,
    /// Norm and probe of each raw output.
    pub raw: BTreeMap<String, [f64; 2]>,
    /// For each image: class, score, `x1`, `y1`, `x2`, `y2`.
    pub detections: Vec<Vec<[f64; 6]>>,
}

/// The fixture of a detector.
///
/// # Panics
/// When it is missing or malformed.
#[track_caller]
#[must_use]
pub fn detect_forward(model: &str) -> DetectForward {
    let name = format!("detect_forward/{model}.json");
    serde_json::from_str(&text(&name)).unwrap_or_else(|e| panic!("fixture {name}: {e}"))
}
