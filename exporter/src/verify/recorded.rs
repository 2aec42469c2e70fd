//! The recording of a detector: images, and how the trainer decided what is in them. For each image, from 0:
//!
//! | tensor | type, shape | what |
//! |---|---|---|
//! | `image.0` | U8 `[1, H, W, 3]` | the image |
//! | `image.0.source.0.place` | I64 `[4]` | the whole of it: first row and column, row and column after the last |
//! | `image.0.source.0` | U8 `[1, h, w, 3]` | the same pixels, fitted and framed |
//! | `image.0.source.0.boxes`, `.scores`, `.labels` | F32 `[n, 4]`, F32 `[n]`, I64 `[n]` | what is in it, in pixels of that place |
//! | `image.0.source.0.masks` | F32 `[n, 28, 28]` | of a model that outlines what it finds, their masks |
//! | `image.0.source.0.decision.0.nms.input.0` | F32 `[m]` | some values that the first decision was taken by ([`Sample`]) |
//! | `....input.0.shape` | I64 | shape of all of them |
//! | `....limits` | F32 | numbers of its rule |
//! | `....output.0` | F32 or I64 | what was decided |
//!
//! Sources 1, 2, .. are the tiles. `score_threshold` and `iou_threshold`, F32 `[1]`, are what it was recorded with, which need
//! not be the settings; `format`, I64 `[1]`, is [`FORMAT`].

use ndarray::Array4;
use runtime::{Data, Overrides, Tensor};
use safetensors::tensor::TensorView;
use safetensors::{Dtype, SafeTensors};
use schemas::prediction::{Detection, DetectionSettings, MASK_SIDE, SoftMask};
use schemas::{CheckpointMeta, Labels};

use super::decisions::{Decided, Sample};
use super::tensors::{floats, integers, tensor};
use crate::graph::DecisionKind;

/// Version of what is recorded of detectors. Version 1 held final boxes alone.
pub const FORMAT: i64 = 2;

/// Decisions that are recorded, by the word in the names of their tensors.
const KINDS: [(&str, DecisionKind); 3] =
    [("nms", DecisionKind::Nms), ("topk", DecisionKind::TopK), ("at_least", DecisionKind::AtLeast)];

/// The word for a decision in the names of tensors; `None` for those that are not recorded, because the host takes them.
#[must_use]
pub fn word(kind: DecisionKind) -> Option<&'static str> {
    KINDS.iter().find(|(_, known)| *known == kind).map(|(word, _)| *word)
}

/// What the trainer recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// The settings of the model.
    pub settings: DetectionSettings,
    /// Thresholds that were used.
    pub overrides: Overrides,
    /// At least one image.
    pub images: Vec<Image>,
}

/// One image.
#[derive(Clone, Debug, PartialEq)]
pub struct Image {
    /// `uint8 [1, H, W, 3]`.
    pub pixels: Array4<u8>,
    /// The whole of it and, with tiling, its tiles.
    pub sources: Vec<Source>,
}

/// One place of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// First row and column, row and column after the last.
    pub place: [i64; 4],
    /// Fitted and framed, `uint8 [1, h, w, 3]`.
    pub prepared: Array4<u8>,
    /// Decisions in the order of the definition.
    pub decisions: Vec<Decided>,
    /// What is in it, in its own pixels, by falling score.
    pub found: Vec<Detection>,
}

impl Source {
    /// Height and width.
    #[must_use]
    pub fn size(&self) -> [i64; 2] {
        let [top, left, bottom, right] = self.place;
        [bottom - top, right - left]
    }
}

/// Whether the file is a recording of this version.
#[must_use]
pub fn is_current(file: &SafeTensors) -> bool {
    tensor(file, "format", Dtype::I64, 1).is_ok_and(|format| integers(&format) == [FORMAT])
}

/// Reads a detector's recording.
///
/// # Errors
/// What is missing or does not fit the model.
pub(super) fn read(file: &SafeTensors, meta: &CheckpointMeta) -> Result<Recording, String> {
    if !is_current(file) {
        return Err("it was recorded by another version of Fovea".to_owned());
    }
    let threshold = |name: &str| {
        let value = floats(&tensor(file, name, Dtype::F32, 1)?);
        let value = value.first().copied().filter(|value| (0.0..=1.0).contains(value));
        value.ok_or_else(|| format!("'{name}' is no number in [0, 1]")).map(Some)
    };
    let overrides =
        Overrides { score_threshold: threshold("score_threshold")?, iou_threshold: threshold("iou_threshold")? };
    let settings = DetectionSettings::try_from(meta).map_err(|error| format!("settings of the model: {error}"))?;
    let sources = settings.tiling.sources();
    let sources = usize::try_from(sources).unwrap_or(1);
    let outlined = meta.task.labels() == Labels::Outlines;
    let reader = Reader { file, classes: meta.labels.len(), sources, outlined };
    let names = (0..).map(|i| format!("image.{i}")).take_while(|name| file.tensor(name).is_ok());
    let images = names.map(|name| reader.image(&name)).collect::<Result<Vec<_>, _>>()?;
    if images.is_empty() {
        return Err("it holds no image to compare with".to_owned());
    }
    Ok(Recording { settings, overrides, images })
}

struct Reader<'a> {
    file: &'a SafeTensors<'a>,
    classes: usize,
    sources: usize,
    /// Whether detections have masks.
    outlined: bool,
}

impl Reader<'_> {
    fn image(&self, name: &str) -> Result<Image, String> {
        let pixels = self.pixels(name)?;
        let (_, height, width, _) = pixels.dim();
        let sources = (0..self.sources).map(|s| self.source(&format!("{name}.source.{s}")));
        let sources = sources.collect::<Result<Vec<_>, _>>()?;
        let whole = [0, 0, i64::try_from(height).unwrap_or(0), i64::try_from(width).unwrap_or(0)];
        let inside = |s: &Source| {
            let [top, left, bottom, right] = s.place;
            0 <= top && top < bottom && bottom <= whole[2] && 0 <= left && left < right && right <= whole[3]
        };
        if sources.first().is_some_and(|first| first.place != whole) || !sources.iter().all(inside) {
            return Err(format!("the places of '{name}' are none of its {height} x {width} pixels"));
        }
        Ok(Image { pixels, sources })
    }

    fn source(&self, name: &str) -> Result<Source, String> {
        let place = integers(&tensor(self.file, &format!("{name}.place"), Dtype::I64, 1)?);
        let place = <[i64; 4]>::try_from(place).map_err(|_| format!("'{name}.place' is no place"))?;
        let decisions = (0..).map_while(|k| self.decided(&format!("{name}.decision.{k}")));
        let decisions = decisions.collect::<Result<Vec<_>, _>>()?;
        Ok(Source { place, prepared: self.pixels(name)?, decisions, found: self.found(name)? })
    }

    /// `None` after the last decision.
    fn decided(&self, name: &str) -> Option<Result<Decided, String>> {
        let (name, kind) = KINDS
            .iter()
            .map(|(word, kind)| (format!("{name}.{word}"), *kind))
            .find(|(name, _)| self.file.tensor(&format!("{name}.limits")).is_ok())?;
        Some(self.decision(&name, kind))
    }

    fn decision(&self, name: &str, kind: DecisionKind) -> Result<Decided, String> {
        let limits = floats(&tensor(self.file, &format!("{name}.limits"), Dtype::F32, 1)?);
        let (inputs, outputs) = kind.arity();
        let input = |j: usize| {
            let name = format!("{name}.input.{j}");
            let shape = integers(&tensor(self.file, &format!("{name}.shape"), Dtype::I64, 1)?);
            let shape = shape.iter().map(|&length| usize::try_from(length)).collect::<Result<Vec<_>, _>>();
            let shape = shape.map_err(|_| format!("'{name}.shape' has negative lengths"))?;
            let sample = Sample { values: floats(&tensor(self.file, &name, Dtype::F32, 1)?), shape };
            let length = sample.length();
            if sample.values.len() == length.div_ceil(super::decisions::step(length)) {
                Ok(sample)
            } else {
                Err(format!("'{name}' has {} of {length} values", sample.values.len()))
            }
        };
        let output = |j: usize| {
            let name = format!("{name}.output.{j}");
            let view = self.file.tensor(&name).map_err(|_| format!("there is no tensor '{name}'"))?;
            owned(&view).ok_or_else(|| format!("'{name}' is {:?}; F32 or I64 is needed", view.dtype()))
        };
        let inputs = (0..inputs).map(input).collect::<Result<Vec<_>, _>>()?;
        let outputs = (0..outputs).map(output).collect::<Result<Vec<_>, _>>()?;
        Ok(Decided { kind, inputs, limits, outputs })
    }

    fn pixels(&self, name: &str) -> Result<Array4<u8>, String> {
        let image = tensor(self.file, name, Dtype::U8, 4)?;
        let shape = image.shape();
        if shape[0] != 1 || shape[3] != 3 || shape[1] * shape[2] == 0 {
            return Err(format!("'{name}' is {shape:?}; [1, height, width, 3] is needed"));
        }
        let all = image.data().to_vec();
        Array4::from_shape_vec((1, shape[1], shape[2], 3), all).map_err(|error| format!("'{name}': {error}"))
    }

    fn found(&self, name: &str) -> Result<Vec<Detection>, String> {
        let part = |part: &str, dtype: Dtype, rank: usize| tensor(self.file, &format!("{name}.{part}"), dtype, rank);
        let (boxes, scores, labels) =
            (part("boxes", Dtype::F32, 2)?, part("scores", Dtype::F32, 1)?, part("labels", Dtype::I64, 1)?);
        let count = scores.shape()[0];
        let place = |label: i64| usize::try_from(label).ok().filter(|&label| label < self.classes);
        let labels: Option<Vec<usize>> = integers(&labels).into_iter().map(place).collect();
        match labels {
            Some(labels) if labels.len() == count && boxes.shape() == [count, 4] => {
                let boxes = floats(&boxes);
                let masks = self.masks(name, count)?;
                let rows = boxes.as_chunks::<4>().0.iter().zip(floats(&scores)).zip(labels).zip(masks);
                let found = rows.map(|(((&corners, score), label), mask)| Detection { corners, score, label, mask });
                Ok(found.collect())
            }
            _ => Err(format!(
                "the boxes, scores and labels of '{name}' do not belong together, or to {} classes",
                self.classes
            )),
        }
    }
}

impl Reader<'_> {
    /// The masks of this many detections, where the model outlines what it finds.
    fn masks(&self, name: &str, count: usize) -> Result<Vec<Option<SoftMask>>, String> {
        if !self.outlined {
            return Ok(vec![None; count]);
        }
        let masks = tensor(self.file, &format!("{name}.masks"), Dtype::F32, 3)?;
        if masks.shape() != [count, MASK_SIDE, MASK_SIDE] {
            return Err(format!(
                "'{name}.masks' is {:?}; [{count}, {MASK_SIDE}, {MASK_SIDE}] is needed",
                masks.shape()
            ));
        }
        Ok(floats(&masks).chunks_exact(MASK_SIDE * MASK_SIDE).map(SoftMask::new).collect())
    }
}

fn owned(view: &TensorView) -> Option<Tensor> {
    let data = match view.dtype() {
        Dtype::F32 => Data::F32(floats(view)),
        Dtype::I64 => Data::I64(integers(view)),
        _ => return None,
    };
    Some(Tensor { shape: view.shape().to_vec(), data })
}
