//! The V2 protocol over gRPC, with tonic's client and with bytes of our own.

mod answers;
mod client;
mod hostile;
mod refusals;
mod telling;
mod under_way;

use std::collections::BTreeMap;

use image::ImageFormat::Png;
use prost::bytes::Bytes;
use server::grpc::messages::{
    InferInputTensor, InferParameter, InferTensorContents, ModelInferRequest, ParameterChoice,
};

use crate::images::plain;

/// A request for encoded images, as elements one by one.
fn encoded(model: &str, images: &[Vec<u8>]) -> ModelInferRequest {
    let contents = InferTensorContents {
        bytes_contents: images.iter().cloned().map(Bytes::from).collect(),
        ..InferTensorContents::default()
    };
    let input = InferInputTensor { contents: Some(contents), ..input("images", "BYTES", &[images.len() as i64]) };
    ModelInferRequest { model_name: model.to_owned(), inputs: vec![input], ..ModelInferRequest::default() }
}

/// The same with the elements as the protocol's bytes.
fn raw(mut request: ModelInferRequest) -> ModelInferRequest {
    let contents = request.inputs[0].contents.take().unwrap();
    let element = |image: &Bytes| [&(image.len() as u32).to_le_bytes()[..], image].concat();
    request.raw_input_contents = vec![contents.bytes_contents.iter().flat_map(element).collect::<Vec<u8>>().into()];
    request
}

/// A request for pixels.
fn pixels(model: &str, shape: [i64; 4], values: &[u8]) -> ModelInferRequest {
    let input = input("images", "UINT8", &shape);
    ModelInferRequest {
        model_name: model.to_owned(),
        inputs: vec![input],
        raw_input_contents: vec![Bytes::copy_from_slice(values)],
        ..ModelInferRequest::default()
    }
}

fn input(name: &str, datatype: &str, shape: &[i64]) -> InferInputTensor {
    InferInputTensor {
        name: name.to_owned(),
        datatype: datatype.to_owned(),
        shape: shape.to_vec(),
        ..InferInputTensor::default()
    }
}

fn parameters(named: &[(&str, ParameterChoice)]) -> BTreeMap<String, InferParameter> {
    let parameter = |choice: &ParameterChoice| InferParameter { parameter_choice: Some(choice.clone()) };
    named.iter().map(|(name, choice)| ((*name).to_owned(), parameter(choice))).collect()
}

fn red(red: u8) -> Vec<u8> {
    plain(8, 8, [red, 0, 0], Png)
}
