//! A weights file laid beside the entries that a network wants.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use super::error::WeightsError;
use super::fit::{self, Fit};
use super::keymap::Spelling;
use super::positions::Regrid;
use super::report::{LoadReport, WrongShape};
use super::tensors::TensorFile;
use super::view::NamedTensor;
use super::wanted::Wanted;
use crate::ops::Role;

/// Tensors of our own beside the network's (optimizer state in a resumable checkpoint); never unexpected.
pub(super) const OWN_PREFIX: &str = "fovea.";

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
/// patches. A file of a classifier fills a detector's body, and what is not of the body keeps its random values. Anything else
/// must match exactly. Of the file's dictionaries, what its keys may begin with and the spellings known
/// for `model`, those are used that match most keys; keys that begin otherwise are left out. The report says so.
///
/// # Errors
///
/// [`WeightsError::Mismatch`] with the full report when an entry outside the head is missing, of another shape, or
/// left over; [`WeightsError::Format`] when a value is no finite number.
pub fn load<'a>(model: &str, wanted: &[Wanted<'a>], file: &'a TensorFile) -> Result<Assignments<'a>, WeightsError> {
    let Fit { dict, prefix, spelling, origin } = fit::best(Spelling::of(model), wanted, file.dicts());
    let own = |t: &'a NamedTensor| t.key.strip_prefix(prefix).map(|key| (spelling.to_own(key), t));
    let found: BTreeMap<Cow<str>, &NamedTensor> = dict.tensors().filter_map(own).collect();

    let head_fits = wanted.iter().filter(|w| w.head).all(|w| found.get(w.key).is_some_and(|t| t.shape == w.shape));
    let mut report = LoadReport { origin, ..LoadReport::default() };
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
            None if !w.key.starts_with(spelling.part()) => report.random.push(w.key.to_owned()),
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
    let keys: BTreeSet<&str> = wanted.iter().map(|w| w.key).collect();
    for t in dict.tensors() {
        // A frozen normalisation counts no batches; a file of a trained one does.
        let carries_weights = |key: &str| !t.key.starts_with(OWN_PREFIX) && !key.ends_with(".num_batches_tracked");
        match own(t) {
            Some((key, _)) if spelling.leaves_out(&key) => report.left_out.push(t.key.clone()),
            Some((key, _)) if !keys.contains(&*key) && carries_weights(&key) => report.unexpected.push(t.key.clone()),
            Some(_) => {}
            None => report.left_out.push(t.key.clone()),
        }
    }
    if !report.fits() {
        let (path, model) = (file.path().to_owned(), model.to_owned());
        return Err(WeightsError::Mismatch { path, model, report: Box::new(report) });
    }
    match pairs.iter().find_map(|pair| file.not_finite(pair.tensor)) {
        Some(what) => Err(WeightsError::format(file.path(), what)),
        None => Ok(Assignments { report, file, pairs }),
    }
}

/// Whether two head shapes differ in nothing but the number of classes.
fn other_classes(found: &[i64], wanted: &[i64]) -> bool {
    found.len() == wanted.len() && found.get(1..) == wanted.get(1..)
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
