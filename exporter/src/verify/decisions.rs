//! Decisions of a detector ([`DecisionKind`]): what was recorded of them, and whether a result follows its rule.
//!
//! A rule is checked on the very values that a result was decided by, so nothing is left to rounding but the overlap of two
//! boxes, which every library computes with its own last digit: within [`OVERLAP_MARGIN`] of the threshold either way is
//! right. Of equal scores any order is.

use runtime::{Data, Tensor};

use crate::graph::DecisionKind;

/// Overlaps (intersection over union) this close to the threshold may be decided either way.
pub const OVERLAP_MARGIN: f64 = 1e-5;
/// Of an input with more values than this, evenly spaced ones are recorded.
const SAMPLES: usize = 1 << 16;

/// One decision as the trainer took it, for one image.
#[derive(Clone, Debug, PartialEq)]
pub struct Decided {
    /// What was decided.
    pub kind: DecisionKind,
    /// What it was decided by, in the order of [`DecisionKind`].
    pub inputs: Vec<Sample>,
    /// The numbers of the rule: of suppression the overlap and the score that it starts from, of a comparison the limit.
    pub limits: Vec<f32>,
    /// What was decided, in the order of [`DecisionKind`].
    pub outputs: Vec<Tensor>,
}

/// Some of the values of a float tensor.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// Shape of the tensor.
    pub shape: Vec<usize>,
    /// Every [`step`]th of its values, from the first.
    pub values: Vec<f32>,
}

/// How far apart the recorded ones of so many values are; odd, so that every column of a table is met.
#[must_use]
pub fn step(values: usize) -> usize {
    if values <= SAMPLES { 1 } else { values.div_ceil(SAMPLES) | 1 }
}

impl Sample {
    /// The values that are recorded of a tensor.
    #[must_use]
    pub fn of(shape: &[usize], values: &[f32]) -> Self {
        Self { shape: shape.to_vec(), values: values.iter().copied().step_by(step(values.len())).collect() }
    }

    /// Number of values of the tensor.
    #[must_use]
    pub fn length(&self) -> usize {
        self.shape.iter().product()
    }
}

/// What two values of one input may differ by.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limit {
    /// At least this.
    pub absolute: f32,
    /// And this share of the value.
    pub relative: f32,
}

impl Limit {
    /// How much of the limit a difference takes: at most 1 where it is kept, and never for NaN against a number.
    #[must_use]
    pub fn share(self, found: f32, recorded: f32) -> f32 {
        if found.to_bits() == recorded.to_bits() {
            return 0.0;
        }
        let share = (found - recorded).abs() / (self.absolute + self.relative * recorded.abs());
        if share.is_nan() { f32::INFINITY } else { share }
    }
}

/// Lengths, corners and other pixels of the network's input.
pub const PIXELS: Limit = Limit { absolute: 0.05, relative: 1e-4 };
/// Probabilities.
pub const SCORES: Limit = Limit { absolute: 1e-3, relative: 0.0 };
/// What a network says before a sigmoid.
pub const LOGITS: Limit = Limit { absolute: 1e-3, relative: 1e-3 };

/// What the input `j` of a decision is measured in.
#[must_use]
pub fn limit(kind: DecisionKind, j: usize) -> Limit {
    match (kind, j) {
        (DecisionKind::Nms, 0) | (DecisionKind::AtLeast | DecisionKind::Pixels, _) => PIXELS,
        (DecisionKind::Nms, _) => SCORES,
        (DecisionKind::TopK | DecisionKind::Places | DecisionKind::Found, _) => LOGITS,
    }
}

/// One decision of a graph, for one image: its inputs in full, and its outputs where something reads them.
#[derive(Clone, Debug)]
pub struct Taken {
    /// What is decided.
    pub kind: DecisionKind,
    /// Inputs, float.
    pub inputs: Vec<Tensor>,
    /// Outputs.
    pub outputs: Vec<Option<Tensor>>,
}

impl Taken {
    /// Values of the inputs; `None` if one has another type.
    #[must_use]
    pub fn floats(&self) -> Option<Vec<&[f32]>> {
        self.inputs.iter().map(Tensor::floats).collect()
    }

    /// First length of input `j`.
    fn rows(&self, j: usize) -> usize {
        self.inputs.get(j).and_then(|input| input.shape.first()).copied().unwrap_or(0)
    }
}

/// Checks that what was decided follows from what it was decided by; gives how many overlaps were too close to call.
///
/// # Errors
/// What does not follow.
pub fn follows(taken: &Taken, limits: &[f32]) -> Result<usize, String> {
    match taken.kind {
        DecisionKind::Nms => suppressed(taken, limits),
        DecisionKind::TopK => largest(taken).map(|()| 0),
        DecisionKind::AtLeast => compared(taken, limits).map(|()| 0),
        // Pixels are compared with those of the host, places and what was found with the host's own.
        DecisionKind::Pixels | DecisionKind::Places | DecisionKind::Found => Ok(0),
    }
}

fn compared(taken: &Taken, limits: &[f32]) -> Result<(), String> {
    let Some(Some(mask)) = taken.outputs.first() else { return Ok(()) };
    let inputs = taken.floats().unwrap_or_default();
    let (&[x], &[limit]) = (inputs.as_slice(), limits) else {
        return Err(format!("a comparison of {} inputs with {} limits", taken.inputs.len(), limits.len()));
    };
    let mask = mask.floats().filter(|mask| mask.len() == x.len());
    let mask = mask.ok_or_else(|| format!("a comparison of {} values has another number of results", x.len()))?;
    let wrong = x.iter().zip(mask).find(|&(&x, &answer)| answer != f32::from(u8::from(x >= limit)));
    match wrong {
        Some((x, answer)) => Err(format!("whether {x} is at least {limit} was answered by {answer}")),
        None => Ok(()),
    }
}

fn largest(taken: &Taken) -> Result<(), String> {
    let inputs = taken.floats().unwrap_or_default();
    let (&[x], [Some(values), Some(indices)]) = (inputs.as_slice(), taken.outputs.as_slice()) else {
        return Ok(());
    };
    let (Some(values), Some(indices)) = (values.floats(), indices.integers()) else {
        return Err("the largest values have another type".to_owned());
    };
    let rows = taken.rows(0);
    if rows == 0 || x.is_empty() {
        return Ok(());
    }
    let (length, each) = (x.len() / rows, values.len() / rows);
    for row in 0..rows {
        let x = &x[row * length..(row + 1) * length];
        let (values, indices) = (&values[row * each..(row + 1) * each], &indices[row * each..(row + 1) * each]);
        let mut chosen = vec![false; length];
        for (value, &index) in values.iter().zip(indices) {
            let place = usize::try_from(index).ok().filter(|&at| at < length && !chosen[at] && x[at] == *value);
            let at = place.ok_or_else(|| format!("{value} was taken from place {index}, where it is not"))?;
            chosen[at] = true;
        }
        if let Some(pair) = values.windows(2).find(|pair| pair[0] < pair[1]) {
            return Err(format!("{} comes before {}", pair[0], pair[1]));
        }
        let least = values.last().copied().unwrap_or(f32::NEG_INFINITY);
        if let Some((at, left)) = x.iter().enumerate().find(|&(at, left)| !chosen[at] && *left > least) {
            return Err(format!("{left} at place {at} was left out, and {least} was taken"));
        }
    }
    Ok(())
}

/// Boxes and scores of one image as suppression sees them.
struct Candidates<'a> {
    boxes: &'a [[f32; 4]],
    /// `[classes][boxes]`.
    scores: &'a [f32],
    iou: f64,
    score: f32,
}

/// A box that is kept.
#[derive(Clone, Copy)]
struct Kept {
    row: usize,
    score: f32,
}

fn suppressed(taken: &Taken, limits: &[f32]) -> Result<usize, String> {
    let inputs = taken.floats().unwrap_or_default();
    let (&[boxes, scores], &[iou, score]) = (inputs.as_slice(), limits) else {
        return Err(format!("a suppression of {} inputs with {} limits", taken.inputs.len(), limits.len()));
    };
    let [Some(kept), classes, Some(rows)] = taken.outputs.as_slice() else { return Ok(0) };
    let (Some(kept), Some(rows)) = (kept.floats(), rows.integers()) else {
        return Err("a suppression answers with another type".to_owned());
    };
    let classes = classes.as_ref().and_then(Tensor::integers);
    let (boxes, _) = boxes.as_chunks::<4>();
    // One image may be several rows of the suppression: in R-CNN each class has boxes of its own.
    let images = taken.rows(0);
    if images == 0 || boxes.is_empty() {
        return if kept.iter().all(|score| *score == 0.0) { Ok(0) } else { Err("boxes were kept of none".to_owned()) };
    }
    let (b, s, d) = (boxes.len() / images, scores.len() / images, kept.len() / images);
    let mut close = 0;
    for image in 0..images {
        let candidates = Candidates {
            boxes: &boxes[image * b..(image + 1) * b],
            scores: &scores[image * s..(image + 1) * s],
            iou: f64::from(iou),
            score,
        };
        let mut list = Vec::new();
        for at in image * d..(image + 1) * d {
            let class = match classes {
                Some(classes) => classes[at],
                // Nothing reads the class, because there is but one; padding has no score.
                None => i64::from(kept[at] != 0.0) - 1,
            };
            if class >= 0 {
                list.push((class, rows[at], kept[at]));
            } else if kept[at] != 0.0 {
                return Err(format!("padding has score {}", kept[at]));
            }
        }
        close += candidates.check(&list, list.len() == d)?;
    }
    Ok(close)
}

impl Candidates<'_> {
    /// `full`: whether there was room for no more than what is kept.
    fn check(&self, list: &[(i64, i64, f32)], full: bool) -> Result<usize, String> {
        let (count, classes) = (self.boxes.len(), self.scores.len() / self.boxes.len());
        let mut kept: Vec<Vec<Kept>> = vec![vec![]; classes];
        let mut taken = vec![false; self.scores.len()];
        let (mut close, mut last) = (0, f32::INFINITY);
        for &(class, row, score) in list {
            let place = usize::try_from(class).ok().zip(usize::try_from(row).ok());
            let place = place.filter(|&(class, row)| class < classes && row < count);
            let (class, row) = place.ok_or_else(|| format!("box {row} of class {class} was kept; there is none"))?;
            let at = class * count + row;
            if taken[at] || self.scores[at] != score {
                return Err(format!("box {row} was kept with score {score}; it has {}", self.scores[at]));
            }
            if score > last || score.is_nan() || score <= self.score {
                return Err(format!("a box of score {score} was kept after one of {last}, above {}", self.score));
            }
            for other in &kept[class] {
                let overlap = self.overlap(row, other.row);
                if overlap > self.iou + OVERLAP_MARGIN {
                    return Err(format!("two boxes were kept that overlap by {overlap}, more than {}", self.iou));
                }
                close += usize::from(overlap > self.iou - OVERLAP_MARGIN);
            }
            (taken[at], last) = (true, score);
            kept[class].push(Kept { row, score });
        }
        for (at, &score) in self.scores.iter().enumerate() {
            if taken[at] || score.is_nan() || score <= self.score || (full && score <= last) {
                continue;
            }
            let (class, row) = (at / count, at % count);
            let better = kept[class].iter().take_while(|other| other.score >= score);
            let most = better.map(|other| self.overlap(row, other.row)).fold(0.0, f64::max);
            if most <= self.iou - OVERLAP_MARGIN {
                let corners = self.boxes[row];
                return Err(format!(
                    "the box {corners:?} of score {score} was dropped, though no better one of its class overlaps it by more \
                     than {most}, and {} is the threshold",
                    self.iou
                ));
            }
            close += usize::from(most <= self.iou + OVERLAP_MARGIN);
        }
        Ok(close)
    }

    /// Intersection over union; 0 where a box has no area.
    fn overlap(&self, a: usize, b: usize) -> f64 {
        let ([ax1, ay1, ax2, ay2], [bx1, by1, bx2, by2]) = (self.boxes[a].map(f64::from), self.boxes[b].map(f64::from));
        let shared = (ax2.min(bx2) - ax1.max(bx1)).max(0.0) * (ay2.min(by2) - ay1.max(by1)).max(0.0);
        let area = |x1: f64, y1: f64, x2: f64, y2: f64| (x2 - x1) * (y2 - y1);
        let union = area(ax1, ay1, ax2, ay2) + area(bx1, by1, bx2, by2) - shared;
        if shared > 0.0 && union > 0.0 { shared / union } else { 0.0 }
    }
}

/// Values of a tensor at the places that a decision took: `(found, recorded)` pairs and what they are measured in.
///
/// # Errors
/// When a recorded place is none of the tensor.
pub fn at_places(taken: &Taken, decided: &Decided) -> Result<Vec<(f32, f32)>, String> {
    let (Some(values), Some(inputs)) = (decided.outputs.first().and_then(Tensor::floats), taken.floats()) else {
        return Ok(vec![]);
    };
    let outside = || "a recorded place lies outside of the values".to_owned();
    let rows = |j: usize| taken.rows(j).max(1);
    let each = values.len() / rows(0);
    let place = |j: usize, i: usize| -> Option<usize> {
        decided.outputs.get(j)?.integers()?.get(i).and_then(|&at| usize::try_from(at).ok())
    };
    let mut pairs = Vec::new();
    match decided.kind {
        DecisionKind::TopK => {
            let length = inputs[0].len() / rows(0);
            for (i, &value) in values.iter().enumerate() {
                let at = (i / each.max(1)) * length + place(1, i).ok_or_else(outside)?;
                pairs.push((*inputs[0].get(at).ok_or_else(outside)?, value));
            }
        }
        DecisionKind::Nms => {
            let (length, count) = (inputs[1].len() / rows(1), inputs[0].len() / 4 / rows(0));
            for (i, &value) in values.iter().enumerate() {
                let Some(class) = place(1, i) else { continue };
                let at = (i / each.max(1)) * length + class * count + place(2, i).ok_or_else(outside)?;
                pairs.push((*inputs[1].get(at).ok_or_else(outside)?, value));
            }
        }
        DecisionKind::AtLeast | DecisionKind::Pixels | DecisionKind::Places | DecisionKind::Found => {}
    }
    Ok(pairs)
}

/// A tensor of several images: theirs one after the other.
#[must_use]
pub fn joined(tensors: &[&Tensor]) -> Option<Tensor> {
    let mut shape = tensors.first()?.shape.clone();
    *shape.first_mut()? = tensors.iter().map(|t| t.shape.first().copied().unwrap_or(0)).sum();
    let data = match &tensors.first()?.data {
        Data::F32(_) => Data::F32(tensors.iter().filter_map(|t| t.floats()).flatten().copied().collect()),
        Data::I64(_) => Data::I64(tensors.iter().filter_map(|t| t.integers()).flatten().copied().collect()),
        Data::U8(_) => Data::U8(tensors.iter().filter_map(|t| t.bytes()).flatten().copied().collect()),
    };
    Some(Tensor { shape, data })
}

/// One image's share of a tensor of `images`.
#[must_use]
pub fn share(tensor: &Tensor, image: usize, images: usize) -> Tensor {
    fn part<T: Clone>(all: &[T], image: usize, images: usize) -> Vec<T> {
        let each = all.len() / images.max(1);
        all[image * each..(image + 1) * each].to_vec()
    }
    let mut shape = tensor.shape.clone();
    if let Some(first) = shape.first_mut() {
        *first /= images.max(1);
    }
    let data = match &tensor.data {
        Data::F32(values) => Data::F32(part(values, image, images)),
        Data::I64(values) => Data::I64(part(values, image, images)),
        Data::U8(values) => Data::U8(part(values, image, images)),
    };
    Tensor { shape, data }
}
