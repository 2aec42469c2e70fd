//! Classifiers: images of the network's own size (`prepared`, with `prepared.probabilities`) and of any size (`whole.0`,
//! `whole.1`, ... with `whole.0.probabilities`, ...); of the prepared ones also `prepared.features`.

use models::host::{self, Rgb};
use ndarray::{Array2, Array4, ArrayView1, ArrayView4, Axis, concatenate, s};
use runtime::Form;
use safetensors::{Dtype, SafeTensors};
use schemas::{CheckpointMeta, Labels, Preprocessing};

use super::check::Check;
use super::error::VerifyError;
use super::pixels::{bytes, same_pixels};
use super::subject::{Subject, open};
use super::tensors::{floats, tensor};
use crate::probe;

/// Largest accepted difference in a probability when the network is given the very same pixels.
pub const PREPARED_LIMIT: f32 = 1e-4;
/// Largest accepted difference in a feature of the very same pixels, as a share of the largest feature.
pub const FEATURES_LIMIT: f32 = 1e-4;
/// Batch sizes that every check is run at.
const BATCHES: [usize; 2] = [1, 3];

/// Images and the probabilities recorded for them, row by row.
#[derive(Clone, Debug, PartialEq)]
pub struct Recorded {
    /// `uint8 [n, h, w, 3]`.
    pub images: Array4<u8>,
    /// `float [n, classes]`.
    pub probabilities: Array2<f32>,
}

/// What the trainer recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct Recording {
    /// Images of the network's own size.
    pub prepared: Recorded,
    /// Images of any size, one each.
    pub whole: Vec<Recorded>,
    /// Penultimate layer of the prepared images, `float [n, width]`; files of older versions do not have it.
    pub features: Option<Array2<f32>>,
}

/// Reads a classifier's recording.
///
/// # Errors
/// What is missing or does not fit the model.
pub(super) fn read(file: &SafeTensors, meta: &CheckpointMeta) -> Result<Recording, String> {
    let load = |name: &str| recorded_pair(file, name, meta.labels.len());
    let prepared = load("prepared")?;
    let crop = meta.preprocessing.side() as usize;
    if prepared.images.dim().1 != crop || prepared.images.dim().2 != crop {
        let shape = prepared.images.shape();
        return Err(format!("'prepared' has shape {shape:?}; the model takes {crop} x {crop}"));
    }
    let names = (0..).map(|i| format!("whole.{i}")).take_while(|name| file.tensor(name).is_ok());
    let whole = names.map(|name| load(&name)).collect::<Result<Vec<_>, _>>()?;
    if prepared.images.is_empty() || whole.is_empty() {
        return Err("it holds no image to compare with".to_owned());
    }
    let features = features(file, prepared.images.dim().0)?;
    Ok(Recording { prepared, whole, features })
}

fn features(file: &SafeTensors, images: usize) -> Result<Option<Array2<f32>>, String> {
    let name = "prepared.features";
    if file.tensor(name).is_err() {
        return Ok(None);
    }
    let values = tensor(file, name, Dtype::F32, 2)?;
    let &[rows, width] = values.shape() else { unreachable!("its rank has been checked") };
    if rows != images {
        return Err(format!("'{name}' has {rows} rows for {images} images"));
    }
    Array2::from_shape_vec((rows, width), floats(&values)).map(Some).map_err(|error| format!("'{name}': {error}"))
}

fn recorded_pair(file: &SafeTensors, name: &str, classes: usize) -> Result<Recorded, String> {
    let probabilities_name = format!("{name}.probabilities");
    let (images, values) = (tensor(file, name, Dtype::U8, 4)?, tensor(file, &probabilities_name, Dtype::F32, 2)?);
    let (shape, rows) = (images.shape(), values.shape());
    let wrong = || format!("'{name}' {shape:?} and '{probabilities_name}' {rows:?} do not belong to {classes} classes");
    if shape[3] != 3 || rows != [shape[0], classes] {
        return Err(wrong());
    }
    Ok(Recorded {
        images: Array4::from_shape_vec((shape[0], shape[1], shape[2], 3), images.data().to_vec())
            .map_err(|_| wrong())?,
        probabilities: Array2::from_shape_vec((rows[0], rows[1]), floats(&values)).map_err(|_| wrong())?,
    })
}

/// Runs a model: `uint8 [n, h, w, 3]` to `float [n, classes]`.
pub type Run<'a> = dyn FnMut(ArrayView4<u8>) -> Result<Array2<f32>, String> + 'a;

/// Compares a model of this form with the recording, at batch sizes 1 and 3.
///
/// A `whole` model is given the prepared images framed so that its own resize changes nothing and its cut gives exactly
/// them; so it too is held to the narrow limit. What it resizes is compared in [`compare_whole`].
///
/// # Errors
/// The first image on which the model does not run or differs.
pub fn compare(
    recording: &Recording,
    meta: &CheckpointMeta,
    form: Form,
    run: &mut Run,
) -> Result<Vec<Check>, VerifyError> {
    let mut checks = Vec::new();
    for batch in BATCHES {
        let mut images = recording.prepared.images.clone();
        let mut name = "prepared images";
        if form == Form::Whole {
            images = framed(&images, &meta.preprocessing);
            name = "prepared images, framed";
        }
        let exact = Recorded { images, probabilities: recording.prepared.probabilities.clone() };
        checks.push(Comparison { name, batch, meta }.run(std::slice::from_ref(&exact), run)?);
    }
    Ok(checks)
}

/// Compares the graph of a `whole` file with the recording of images of any size, at batch sizes 1 and 3.
///
/// A pixel that is rounded the other way moves the probabilities of a network by as much as it has learned to look at
/// pixels, which no limit can foresee. So the graph is cut open where its pixels are rounded: these are compared with those of
/// the host, and the network is given the host's.
///
/// # Errors
/// The first image on which the graph does not run or differs.
pub(super) fn compare_whole(recording: &Recording, subject: &Subject) -> Result<Vec<Check>, VerifyError> {
    let name = "whole images";
    let Subject { graph, options, .. } = *subject;
    let meta = subject.checkpoint.meta();
    let mut session = open(probe::network(graph).graph, options, name)?;
    let mut run = |images: ArrayView4<u8>| {
        let prepared = prepared(&images, &meta.preprocessing)?;
        let inputs = [(runtime::INPUT.to_owned(), bytes(&images)), (probe::given(0, 0), bytes(&prepared.view()))];
        let outputs = session.run(&inputs).map_err(|error| error.to_string())?;
        let own = outputs.get(&probe::own(0, 0)).ok_or("it rounds no pixels")?;
        same_pixels(own, &prepared.view())?;
        let answer = outputs.get(runtime::OUTPUT).ok_or_else(|| format!("no output named {}", runtime::OUTPUT))?;
        let shape = <[usize; 2]>::try_from(answer.shape.as_slice()).map_err(|_| "its output is no table")?;
        let values = answer.floats().ok_or("its output has another type")?.to_vec();
        Array2::from_shape_vec(shape, values).map_err(|error| error.to_string())
    };
    BATCHES.into_iter().map(|batch| Comparison { name, batch, meta }.run(&recording.whole, &mut run)).collect()
}

/// Each image as the host resizes and cuts it.
fn prepared(images: &ArrayView4<u8>, p: &Preprocessing) -> Result<Array4<u8>, String> {
    let (n, h, w, _) = images.dim();
    let side = |side: usize| u32::try_from(side).map_err(|error| error.to_string());
    let (height, width) = (side(h)?, side(w)?);
    let mut all = Vec::new();
    for image in images.outer_iter() {
        let fitted = host::prepare(&Rgb { width, height, data: image.iter().copied().collect() }, p);
        all.extend(fitted.data);
    }
    let crop = p.side() as usize;
    Array4::from_shape_vec((n, crop, crop, 3), all).map_err(|error| error.to_string())
}

/// Each image in the middle of a black square of `resize` pixels, where the centre cut finds it.
fn framed(images: &Array4<u8>, p: &Preprocessing) -> Array4<u8> {
    let (n, h, w, c) = images.dim();
    let side = p.crop().map_or(h, |(resize, _)| resize as usize);
    let rest = side - h;
    let offset = rest / 2 + (rest % 2) * (rest / 2 % 2);
    let mut out = Array4::zeros((n, side, side, c));
    out.slice_mut(s![.., offset..offset + h, offset..offset + w, ..]).assign(images);
    out
}

/// Compares the features that a model of this form gives of the prepared images with those recorded.
///
/// # Errors
/// When the model does not run, or a value differs by more than [`FEATURES_LIMIT`] of the largest.
pub(super) fn compare_features(
    prepared: &Array4<u8>,
    recorded: &Array2<f32>,
    framing: Option<&Preprocessing>,
    run: &mut Run,
) -> Result<Check, VerifyError> {
    let name = "features of prepared images".to_owned();
    let fail = |problem: String| VerifyError::Features { problem };
    let found = match framing {
        None => run(prepared.view()),
        Some(p) => run(framed(prepared, p).view()),
    }
    .map_err(fail)?;
    if found.dim() != recorded.dim() {
        return Err(fail(format!("they have shape {:?}, and {:?} was recorded", found.dim(), recorded.dim())));
    }
    let scale = recorded.iter().fold(f32::MIN_POSITIVE, |largest, v| largest.max(v.abs()));
    let shares = found.iter().zip(recorded).map(|(a, b)| (a - b).abs() / scale);
    let largest_difference =
        shares.fold(0.0_f32, |largest, d| if largest.is_nan() || d.is_nan() { f32::NAN } else { largest.max(d) });
    let limit = FEATURES_LIMIT;
    if largest_difference.is_nan() || largest_difference > limit {
        return Err(fail(format!("they differ by {largest_difference} of the largest value; {limit} is accepted")));
    }
    let n = found.nrows();
    Ok(Check { name, batch: n, images: n, largest_difference, limit, labels_differ: 0, boxes: None })
}

struct Comparison<'a> {
    name: &'a str,
    batch: usize,
    meta: &'a CheckpointMeta,
}

impl Comparison<'_> {
    fn run(&self, groups: &[Recorded], run: &mut Run) -> Result<Check, VerifyError> {
        let check = format!("{}, batch {}", self.name, self.batch);
        let (mut largest_difference, mut labels_differ, mut images) = (0.0_f32, 0, 0);
        for group in groups {
            let n = group.images.len_of(Axis(0));
            for first in (0..n).step_by(self.batch) {
                // The last run is filled up from the beginning, and a lone image is repeated.
                let rows: Vec<usize> = (first..first + self.batch).map(|i| i % n).collect();
                let views: Vec<_> = rows.iter().map(|&i| group.images.slice(s![i..=i, .., .., ..])).collect();
                let fail = |problem: String| VerifyError::Run { check: check.clone(), image: images + first, problem };
                let batch = concatenate(Axis(0), &views).map_err(|e| fail(e.to_string()))?;
                let found = run(batch.view()).map_err(fail)?;
                if found.dim() != (rows.len(), self.meta.labels.len()) {
                    return Err(fail(format!("its output has shape {:?}", found.dim())));
                }
                for (row, &i) in rows.iter().enumerate() {
                    let (found, recorded) = (found.row(row), group.probabilities.row(i));
                    let (difference, class) = largest(&found, &recorded);
                    if difference.is_nan() || difference > PREPARED_LIMIT {
                        return Err(VerifyError::Mismatch {
                            check,
                            image: images + i,
                            label: self.meta.labels[class].clone(),
                            found: found[class],
                            recorded: recorded[class],
                            limit: PREPARED_LIMIT,
                        });
                    }
                    largest_difference = largest_difference.max(difference);
                    let differs = self.meta.task.labels() == Labels::Class && top(&found) != top(&recorded);
                    // A row that fills up a batch has been counted before.
                    labels_differ += usize::from(differs && first + row < n);
                }
            }
            images += n;
        }
        let (name, batch, limit) = (self.name.to_owned(), self.batch, PREPARED_LIMIT);
        Ok(Check { name, batch, images, largest_difference, limit, labels_differ, boxes: None })
    }
}

/// Largest absolute difference and its place; NaN as soon as one value is NaN.
fn largest(a: &ArrayView1<f32>, b: &ArrayView1<f32>) -> (f32, usize) {
    let mut worst = (0.0, 0);
    for (i, (x, y)) in a.iter().zip(b).enumerate() {
        let d = (x - y).abs();
        if d.is_nan() {
            return (d, i);
        }
        if d > worst.0 {
            worst = (d, i);
        }
    }
    worst
}

/// The most probable class; the first of equals.
fn top(row: &ArrayView1<f32>) -> usize {
    (0..row.len()).reduce(|best, i| if row[i] > row[best] { i } else { best }).unwrap_or(0)
}
