//! A weights file laid beside the entries that a network wants.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::error::WeightsError;
use super::keymap::Spelling;
use super::positions::Regrid;
use super::report::{LoadReport, WrongShape};
use super::tensors::TensorFile;
use super::view::NamedTensor;
use crate::ops::Role;

/// Tensors of our own beside the network's (optimizer state in a resumable checkpoint); never unexpected.
const OWN_PREFIX: &str = "fovea.";

/// One entry of a network's state dict.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Key in the state dict.
    pub key: &'a str,
    /// Sizes; empty for a scalar.
    pub shape: &'a [i64],
    /// What the entry is for.
    pub role: Role,
    /// Whether it belongs to the head, whose first dimension is the number of classes.
    pub head: bool,
}

/// Values of one entry, row-major.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Of a parameter or running statistic.
    F32(Vec<f32>),
    /// Of a counter.
    I64(Vec<i64>),
}

/// Which tensor of the file goes to which entry; the numbers are made one entry at a time.
#[derive(Debug)]
pub struct Assignments<'a> {
    /// What was found.
    pub report: LoadReport,
    file: &'a TensorFile,
    pairs: Vec<Pair<'a>>,
}

/// An entry and the tensor that it is filled from.
#[derive(Debug)]
struct Pair<'a> {
    key: &'a str,
    role: Role,
    tensor: &'a NamedTensor,
    /// What is done to the values on the way: position embeddings for images of another size.
    regrid: Option<Regrid>,
}

impl<'a> Assignments<'a> {
    /// Key and values of every loaded entry, in the network's order. Entries that are not among them keep their
    /// initial values.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&'a str, Values)> + '_ {
        self.pairs.iter().map(|Pair { key, role, tensor, regrid }| {
            let values = match role {
                Role::Counter => Values::I64(self.file.to_i64(tensor)),
                Role::Weight | Role::Bias | Role::NormWeight | Role::NormBias | Role::Embedding | Role::Buffer => {
                    let values = self.file.to_f32(tensor);
                    Values::F32(match regrid {
                        Some(change) => change.apply(&values),
                        None => values,
                    })
                }
            };
            (*key, values)
        })
    }
}

/// Lays `file` beside the entries of `model`. The head is taken from the file when all of it fits; when the file has
/// another number of classes, or no head, the whole head starts anew. Position embeddings are resized to the network's grid of
/// patches. Anything else must match exactly. Of the
/// spellings known for `model`, the one that matches most keys is used.
///
/// # Errors
///
/// [`WeightsError::Mismatch`] with the full report when an entry outside the head is missing, of another shape, or
/// left over.
pub fn load<'a>(model: &str, wanted: &[Wanted<'a>], file: &'a TensorFile) -> Result<Assignments<'a>, WeightsError> {
    let keys: BTreeSet<&str> = wanted.iter().map(|w| w.key).collect();
    let matches = |s: Spelling| file.tensors().filter(|t| keys.contains(&*s.to_own(&t.key))).count();
    // `rev`: max_by_key takes the last of equals, and the network's own spelling comes first.
    let spelling = Spelling::of(model).iter().rev().copied().max_by_key(|s| matches(*s)).unwrap_or(Spelling::Own);
    let found: BTreeMap<Cow<str>, &NamedTensor> = file.tensors().map(|t| (spelling.to_own(&t.key), t)).collect();

    let head_fits = wanted.iter().filter(|w| w.head).all(|w| found.get(w.key).is_some_and(|t| t.shape == w.shape));
    let mut report = LoadReport::default();
    let mut pairs = Vec::new();
    for w in wanted {
        match found.get(w.key) {
            Some(t) if t.shape == w.shape && (head_fits || !w.head) => {
                report.loaded.push(w.key.to_owned());
                pairs.push(Pair { key: w.key, role: w.role, tensor: t, regrid: None });
            }
            Some(t) if w.role == Role::Embedding && Regrid::between(&t.shape, w.shape).is_some() => {
                report.resized.push(w.key.to_owned());
                pairs.push(Pair { key: w.key, role: w.role, tensor: t, regrid: Regrid::between(&t.shape, w.shape) });
            }
            None if w.head => report.new_head.push(w.key.to_owned()),
            Some(t) if w.head && other_classes(&t.shape, w.shape) => report.new_head.push(w.key.to_owned()),
            Some(t) => report.wrong_shape.push(WrongShape {
                key: w.key.to_owned(),
                wanted: w.shape.to_vec(),
                found: t.shape.clone(),
            }),
            None if w.role == Role::Counter => {}
            None => report.missing.push(w.key.to_owned()),
        }
    }
    for t in file.tensors() {
        let key = spelling.to_own(&t.key);
        // A frozen normalisation counts no batches; a file of a trained one does.
        if !keys.contains(&*key) && !key.starts_with(OWN_PREFIX) && !key.ends_with(".num_batches_tracked") {
            report.unexpected.push(t.key.clone());
        }
    }
    if report.fits() {
        Ok(Assignments { report, file, pairs })
    } else {
        Err(WeightsError::Mismatch { path: file.path().to_owned(), model: model.to_owned(), report: Box::new(report) })
    }
}

/// Whether two head shapes differ in nothing but the number of classes.
fn other_classes(found: &[i64], wanted: &[i64]) -> bool {
    found.len() == wanted.len() && found.get(1..) == wanted.get(1..)
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
