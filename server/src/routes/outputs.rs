//! The outputs of V2 inference, each in the JSON or as bytes after it.

use actix_web::{HttpResponse, http::header};
use schemas::{CheckpointMeta, prediction::Detection};
use serde::Serialize;

use super::health::VERSION;
use crate::{backend::Answer, error::ServerError};

/// Length of the JSON that the bytes of tensors follow.
pub(super) const HEADER: &str = "inference-header-content-length";

/// An output that a request asks for.
pub(super) struct Wanted {
    pub name: &'static str,
    /// As bytes after the JSON.
    pub binary: bool,
}

impl Wanted {
    /// Every output of a model.
    pub(super) fn all(meta: &CheckpointMeta, binary: bool) -> Vec<Self> {
        let names: &[&'static str] = if meta.task.is_classification() {
            &[runtime::OUTPUT]
        } else {
            &[runtime::BOXES, runtime::SCORES, runtime::LABELS]
        };
        names.iter().map(|&name| Self { name, binary }).collect()
    }
}

/// Elements in row-major order.
#[derive(Serialize)]
#[serde(untagged)]
enum Values {
    Floats(Vec<f32>),
    Integers(Vec<i64>),
}

impl Values {
    fn datatype(&self) -> &'static str {
        match self {
            Self::Floats(_) => "FP32",
            Self::Integers(_) => "INT64",
        }
    }

    fn size(&self) -> usize {
        match self {
            Self::Floats(values) => size_of_val(&**values),
            Self::Integers(values) => size_of_val(&**values),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Floats(values) => values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes())),
            Self::Integers(values) => values.iter().for_each(|value| out.extend_from_slice(&value.to_le_bytes())),
        }
    }
}

/// A named tensor of an answer.
struct Tensor {
    name: &'static str,
    shape: Vec<usize>,
    values: Values,
}

#[derive(Serialize)]
struct Message<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    model_name: &'a str,
    model_version: &'static str,
    outputs: Vec<Output<'a>>,
}

#[derive(Serialize)]
struct Output<'a> {
    name: &'static str,
    datatype: &'static str,
    shape: &'a [usize],
    #[serde(skip_serializing_if = "Option::is_none")]
    parameters: Option<Size>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a Values>,
}

#[derive(Serialize)]
struct Size {
    binary_data_size: usize,
}

/// The answer with the outputs that are `wanted`, in that order.
pub(super) fn render(
    model: &str,
    id: Option<String>,
    wanted: &[Wanted],
    answer: Answer,
) -> Result<HttpResponse, ServerError> {
    let tensors = tensors(answer);
    let mut outputs = Vec::with_capacity(wanted.len());
    let mut blob = Vec::new();
    for Wanted { name, binary } in wanted {
        let tensor = tensors.iter().find(|tensor| tensor.name == *name).ok_or(ServerError::Internal)?;
        if *binary {
            tensor.values.write(&mut blob);
        }
        outputs.push(Output {
            name,
            datatype: tensor.values.datatype(),
            shape: &tensor.shape,
            parameters: binary.then(|| Size { binary_data_size: tensor.values.size() }),
            data: (!binary).then_some(&tensor.values),
        });
    }
    let message = Message { id, model_name: model, model_version: VERSION, outputs };
    if wanted.iter().all(|output| !output.binary) {
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

fn tensors(answer: Answer) -> Vec<Tensor> {
    match answer {
        Answer::Probabilities(rows) => {
            let shape = vec![rows.nrows(), rows.ncols()];
            vec![Tensor { name: runtime::OUTPUT, shape, values: Values::Floats(rows.into_iter().collect()) }]
        }
        Answer::Boxes(pictures) => boxes(&pictures),
    }
}

/// Every picture gets as many rows as the one with the most objects; the label of a row without one is -1.
fn boxes(pictures: &[Vec<Detection>]) -> Vec<Tensor> {
    let n = pictures.len();
    let most = pictures.iter().map(Vec::len).max().unwrap_or(0);
    let rows = || pictures.iter().flat_map(|found| (0..most).map(move |at| found.get(at)));
    let boxes = rows().flat_map(|row| row.map_or([0.0; 4], |one| one.corners)).collect();
    let scores = rows().map(|row| row.map_or(0.0, |one| one.score)).collect();
    let label = |one: &Detection| i64::try_from(one.label).unwrap_or(-1);
    let labels = rows().map(|row| row.map_or(-1, label)).collect();
    vec![
        Tensor { name: runtime::BOXES, shape: vec![n, most, 4], values: Values::Floats(boxes) },
        Tensor { name: runtime::SCORES, shape: vec![n, most], values: Values::Floats(scores) },
        Tensor { name: runtime::LABELS, shape: vec![n, most], values: Values::Integers(labels) },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shorter_lists_are_padded_to_the_longest() {
        let one = Detection { corners: [1.0, 2.0, 3.0, 4.0], score: 0.5, label: 1 };
        let [boxes, scores, labels] = <[Tensor; 3]>::try_from(boxes(&[vec![], vec![one]])).ok().unwrap();
        assert_eq!((boxes.shape, scores.shape, labels.shape), (vec![2, 1, 4], vec![2, 1], vec![2, 1]));
        assert!(matches!(boxes.values, Values::Floats(v) if v == [0.0, 0.0, 0.0, 0.0, 1.0, 2.0, 3.0, 4.0]));
        assert!(matches!(scores.values, Values::Floats(v) if v == [0.0, 0.5]));
        assert!(matches!(labels.values, Values::Integers(v) if v == [-1, 1]));
    }
}
