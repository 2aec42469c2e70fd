//! The tensors of an answer.

use std::num::NonZeroUsize;

use runtime::Outputs;
use schemas::prediction::{Detection, MASK_SIDE, OutputData, RequestedOutput};

use super::{bad, classes};
use crate::{
    backend::{Description, Predictions},
    error::ServerError,
};

/// An output of the answer.
pub(crate) struct SelectedOutput {
    pub name: &'static str,
    /// As bytes, where the carrier knows another form.
    pub binary: bool,
    /// Of probabilities: as so many classes, where they are asked for.
    pub classes: Option<NonZeroUsize>,
}

impl SelectedOutput {
    /// Every output of a model.
    pub(crate) fn all(outputs: Outputs, binary: bool) -> Vec<Self> {
        let names: &[&'static str] = match outputs {
            Outputs::Probabilities => &[runtime::OUTPUT],
            Outputs::Boxes => &[runtime::BOXES, runtime::SCORES, runtime::LABELS],
            Outputs::Masks => &[runtime::BOXES, runtime::SCORES, runtime::LABELS, runtime::MASKS],
        };
        names.iter().map(|&name| Self { name, binary, classes: None }).collect()
    }
}

/// The outputs that are asked for, in the order in which they are; all of them when nothing is said.
pub(super) fn select(
    about: &Description,
    all_binary: bool,
    requested: Option<Vec<RequestedOutput<'_>>>,
) -> Result<Vec<SelectedOutput>, ServerError> {
    let all = SelectedOutput::all(about.outputs, all_binary);
    let Some(requested) = requested else {
        return Ok(all);
    };
    let names: Vec<&str> = all.iter().map(|output| output.name).collect();
    let expected = || ServerError::Request(format!("outputs, when given, must name some of {}", names.join(", ")));
    let mut selected: Vec<SelectedOutput> = Vec::new();
    for output in requested {
        let parameters = output.parameters.unwrap_or_default();
        if parameters.shared_memory_region.is_some() {
            return bad("the parameter shared_memory_region is not supported");
        }
        let known = all.iter().map(|known| known.name).find(|name| *name == output.name).ok_or_else(expected)?;
        if selected.iter().any(|other| other.name == known) {
            return bad(format!("outputs name {known} twice"));
        }
        let classes = parameters.classification.map(|given| classes::count(known, given)).transpose()?;
        let binary = parameters.binary_data.unwrap_or(all_binary);
        selected.push(SelectedOutput { name: known, binary, classes });
    }
    // None named is as good as none said.
    Ok(if selected.is_empty() { all } else { selected })
}

/// A named tensor of an answer.
pub(crate) struct Tensor {
    pub name: &'static str,
    pub shape: Vec<u64>,
    pub data: OutputData,
    /// As it was [selected](SelectedOutput::binary).
    pub binary: bool,
}

/// The tensors that are `selected`, in that order; `labels` are the model's.
pub(super) fn tensors(
    predictions: Predictions,
    selected: &[SelectedOutput],
    labels: &[String],
) -> Result<Vec<Tensor>, ServerError> {
    let outlined = selected.iter().any(|output| output.name == runtime::MASKS);
    let mut all = match predictions {
        Predictions::Probabilities(rows) => {
            let (shape, data) = match selected.iter().find_map(|output| output.classes) {
                Some(count) => classes::best(&rows, labels, count),
                None => (vec![rows.nrows() as u64, rows.ncols() as u64], OutputData::Float(rows.into_iter().collect())),
            };
            vec![tensor(runtime::OUTPUT, shape, data)]
        }
        Predictions::Boxes(images) => boxes(&images, outlined),
    };
    let take = |&SelectedOutput { name, binary, .. }: &SelectedOutput| {
        let at = all.iter().position(|tensor| tensor.name == name).ok_or(ServerError::Internal)?;
        Ok(Tensor { binary, ..all.swap_remove(at) })
    };
    selected.iter().map(take).collect()
}

fn tensor(name: &'static str, shape: Vec<u64>, data: OutputData) -> Tensor {
    Tensor { name, shape, data, binary: false }
}

/// Every image gets as many rows as the one with the most objects; the label of a row without one is -1. With their masks
/// where they are `outlined`.
fn boxes(images: &[Vec<Detection>], outlined: bool) -> Vec<Tensor> {
    let most = images.iter().map(Vec::len).max().unwrap_or(0);
    let rows = || images.iter().flat_map(|found| (0..most).map(move |at| found.get(at)));
    let boxes = rows().flat_map(|row| row.map_or([0.0; 4], |one| one.corners)).collect();
    let scores = rows().map(|row| row.map_or(0.0, |one| one.score)).collect();
    let label = |one: &Detection| i64::try_from(one.label).unwrap_or(-1);
    let labels = rows().map(|row| row.map_or(-1, label)).collect();
    let (n, most) = (images.len() as u64, most as u64);
    let mut tensors = vec![
        tensor(runtime::BOXES, vec![n, most, 4], OutputData::Float(boxes)),
        tensor(runtime::SCORES, vec![n, most], OutputData::Float(scores)),
        tensor(runtime::LABELS, vec![n, most], OutputData::Integer(labels)),
    ];
    if outlined {
        let nothing = [0.0; MASK_SIDE * MASK_SIDE];
        let mask = |one: Option<&Detection>| {
            one.and_then(|one| one.mask.as_ref()).map_or(nothing.to_vec(), |mask| mask.values().to_vec())
        };
        let side = MASK_SIDE as u64;
        let data = OutputData::Float(rows().flat_map(mask).collect());
        tensors.push(tensor(runtime::MASKS, vec![n, most, side, side], data));
    }
    tensors
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_lists_are_padded_to_the_longest() {
        let one = Detection { corners: [1.0, 2.0, 3.0, 4.0], score: 0.5, label: 1, mask: None };
        let [boxes, scores, labels] = <[Tensor; 3]>::try_from(boxes(&[vec![], vec![one]], false)).ok().unwrap();
        assert_eq!((boxes.shape, scores.shape, labels.shape), (vec![2, 1, 4], vec![2, 1], vec![2, 1]));
        assert!(matches!(boxes.data, OutputData::Float(v) if v == [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0]));
        assert!(matches!(scores.data, OutputData::Float(v) if v == [0.0, 0.5]));
        assert!(matches!(labels.data, OutputData::Integer(v) if v == [-1, 1]));
    }
}
