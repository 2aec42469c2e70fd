//! The outputs of V2 inference, each in the JSON or as bytes after it.

use actix_web::{HttpResponse, http::header};
use runtime::Outputs;
use schemas::prediction::{BinarySize, Detection, InferOutput, InferResponse, MASK_SIDE, OutputData};

use crate::{
    backend::{Description, Predictions},
    error::ServerError,
};

/// Length of the JSON that the bytes of tensors follow.
pub(super) const HEADER: &str = "inference-header-content-length";

/// An output of the answer.
pub(super) struct SelectedOutput {
    pub name: &'static str,
    /// As bytes after the JSON.
    pub binary: bool,
}

impl SelectedOutput {
    /// Every output of a model.
    pub(super) fn all(outputs: Outputs, binary: bool) -> Vec<Self> {
        let names: &[&'static str] = match outputs {
            Outputs::Probabilities => &[runtime::OUTPUT],
            Outputs::Boxes => &[runtime::BOXES, runtime::SCORES, runtime::LABELS],
            Outputs::Masks => &[runtime::BOXES, runtime::SCORES, runtime::LABELS, runtime::MASKS],
        };
        names.iter().map(|&name| Self { name, binary }).collect()
    }
}

/// A named tensor of an answer.
struct Tensor {
    name: &'static str,
    shape: Vec<u64>,
    data: OutputData,
}

/// The answer with the outputs that are `selected`, in that order.
pub(super) fn render(
    model: &Description,
    id: Option<String>,
    selected: &[SelectedOutput],
    predictions: Predictions,
) -> Result<HttpResponse, ServerError> {
    let outlined = selected.iter().any(|output| output.name == runtime::MASKS);
    let mut tensors = tensors(predictions, outlined);
    let mut outputs = Vec::with_capacity(selected.len());
    let mut blob = Vec::new();
    for SelectedOutput { name, binary } in selected {
        let at = tensors.iter().position(|tensor| tensor.name == *name).ok_or(ServerError::Internal)?;
        let Tensor { name, shape, data } = tensors.swap_remove(at);
        let datatype = data.datatype();
        let (parameters, data) = if *binary {
            let bytes = data.to_bytes();
            blob.extend_from_slice(&bytes);
            (Some(BinarySize { binary_data_size: bytes.len() as u64 }), None)
        } else {
            (None, Some(data))
        };
        outputs.push(InferOutput { name: name.to_owned(), datatype, shape, parameters, data });
    }
    let (model_name, model_version) = (model.name.clone(), model.version.to_string());
    let message = InferResponse { id, model_name, model_version, outputs };
    if selected.iter().all(|output| !output.binary) {
        return Ok(HttpResponse::Ok().json(message));
    }
    let mut body = serde_json::to_vec(&message).map_err(|_| ServerError::Internal)?;
    let json_length = body.len();
    body.append(&mut blob);
    Ok(HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "application/octet-stream"))
        .insert_header((HEADER, json_length))
        .body(body))
}

fn tensors(predictions: Predictions, outlined: bool) -> Vec<Tensor> {
    match predictions {
        Predictions::Probabilities(rows) => {
            let shape = vec![rows.nrows() as u64, rows.ncols() as u64];
            vec![Tensor { name: runtime::OUTPUT, shape, data: OutputData::Float(rows.into_iter().collect()) }]
        }
        Predictions::Boxes(images) => boxes(&images, outlined),
    }
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
        Tensor { name: runtime::BOXES, shape: vec![n, most, 4], data: OutputData::Float(boxes) },
        Tensor { name: runtime::SCORES, shape: vec![n, most], data: OutputData::Float(scores) },
        Tensor { name: runtime::LABELS, shape: vec![n, most], data: OutputData::Integer(labels) },
    ];
    if outlined {
        let nothing = [0.0; MASK_SIDE * MASK_SIDE];
        let mask = |one: Option<&Detection>| {
            one.and_then(|one| one.mask.as_ref()).map_or(nothing.to_vec(), |mask| mask.values().to_vec())
        };
        let side = MASK_SIDE as u64;
        let data = OutputData::Float(rows().flat_map(mask).collect());
        tensors.push(Tensor { name: runtime::MASKS, shape: vec![n, most, side, side], data });
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
