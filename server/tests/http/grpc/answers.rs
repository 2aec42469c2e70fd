//! Inference: each answer is the one that HTTP gives, number by number.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use image::ImageFormat::{Jpeg, Png};
use schemas::prediction::{InferResponse, OutputData};
use serde_json::json;
use server::grpc::messages::{
    Empty, InferRequestedOutputTensor, InferTensorContents, ModelInferRequest, ModelInferResponse,
    ModelStreamInferResponse,
    ParameterChoice::{BoolParam, DoubleParam, Int64Param, StringParam, Uint64Param},
    ServerLiveResponse,
};
use tonic::codec::CompressionEncoding;

use super::{client::Client, encoded, input, parameters, pixels, raw, red};
use crate::{
    images::{noise, parts, plain},
    support::{OBJECT_MODELS, Server},
};

fn start() -> (Server, Client) {
    let server = Server::with_models(&OBJECT_MODELS, &["--grpc", "127.0.0.1:0"]);
    let client = Client::new(server.grpc);
    (server, client)
}

fn images() -> Vec<Vec<u8>> {
    let split = parts(64, 40, |x, _| if x < 32 { [250, 200, 100] } else { [3, 90, 160] });
    vec![plain(64, 64, [250, 200, 100], Png), split, noise(90, 50, Jpeg)]
}

/// Name, type, shape and bytes of each output.
type Outputs = Vec<(String, String, Vec<u64>, Vec<u8>)>;

fn of_grpc(answer: &ModelInferResponse) -> Outputs {
    assert_eq!(answer.outputs.len(), answer.raw_output_contents.len());
    let output = answer.outputs.iter().zip(&answer.raw_output_contents);
    let shape = |shape: &[i64]| shape.iter().map(|&n| n as u64).collect();
    output.map(|(o, raw)| (o.name.clone(), o.datatype.clone(), shape(&o.shape), raw.to_vec())).collect()
}

#[track_caller]
fn of_http(server: &Server, model: &str, body: &serde_json::Value) -> Outputs {
    let answer = server.post(&format!("/v2/models/{model}/infer"), "application/json", body.to_string().as_bytes());
    assert_eq!(answer.status, 200, "{model}: {}", answer.text());
    let answer: InferResponse = serde_json::from_slice(&answer.body).unwrap();
    let bytes = |data: Option<OutputData>, datatype: &str| match (data.unwrap(), datatype) {
        // JSON does not tell whole numbers from others.
        (OutputData::Integer(values), "FP32") => OutputData::Float(values.iter().map(|&v| v as f32).collect()),
        (data, _) => data,
    };
    let output = |o: schemas::prediction::InferOutput| {
        let datatype = o.datatype.to_string();
        let data = bytes(o.data, &datatype).to_bytes();
        (o.name, datatype, o.shape, data)
    };
    answer.outputs.into_iter().map(output).collect()
}

#[track_caller]
fn check(client: &Client, request: ModelInferRequest, expected: &Outputs) {
    let model = request.model_name.clone();
    let answer = client.infer(request).unwrap();
    assert_eq!((answer.model_name.as_str(), answer.model_version.as_str()), (model.as_str(), "1"));
    assert_eq!(&of_grpc(&answer), expected, "{model}");
}

#[test]
fn encoded_images_are_answered_as_over_http() {
    let (server, client) = start();
    for model in ["tiny", "whole", "multi", "d", "dw", "dt", "m", "mw"] {
        for images in [images(), vec![images().remove(1)]] {
            let texts: Vec<String> = images.iter().map(|image| STANDARD.encode(image)).collect();
            let input = json!({ "name": "images", "datatype": "BYTES", "shape": [images.len()], "data": texts });
            let expected = of_http(&server, model, &json!({ "inputs": [input] }));
            check(&client, encoded(model, &images), &expected);
            check(&client, raw(encoded(model, &images)), &expected);
            // As a column.
            let mut column = raw(encoded(model, &images));
            column.inputs[0].shape.push(1);
            check(&client, column, &expected);
        }
    }
    let metrics = server.get("/metrics").text();
    assert!(metrics.contains("fovea_memory_reserved_bytes 0\n"), "{metrics}");
}

#[test]
fn pixels_are_answered_as_over_http() {
    let (server, client) = start();
    for model in ["tiny", "whole", "d", "dw", "m", "mw"] {
        let about = server.get(&format!("/v2/models/{model}")).json();
        let side = |at: usize| about["inputs"][0]["shape"][at].as_i64().filter(|&n| n > 0).unwrap_or(64);
        let shape = [2, side(1), side(2), 3];
        let count = shape.iter().product::<i64>();
        let values: Vec<u8> = (0..count).map(|i| (i * 37 % 251) as u8).collect();
        let mut inputs = vec![json!({ "name": "images", "datatype": "UINT8", "shape": shape, "data": values })];
        let mut request = pixels(model, shape, &values);
        let mut typed = request.clone();
        typed.raw_input_contents.clear();
        let numbers = values.iter().map(|&v| v.into()).collect();
        typed.inputs[0].contents = Some(InferTensorContents { uint_contents: numbers, ..Default::default() });
        if about["inputs"].as_array().unwrap().len() == 2 {
            let sizes = [480i64, 640, 100, 50];
            inputs.push(json!({ "name": "sizes", "datatype": "INT64", "shape": [2, 2], "data": sizes }));
            request.inputs.push(input("sizes", "INT64", &[2, 2]));
            request.raw_input_contents.push(sizes.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<u8>>().into());
            let contents = InferTensorContents { int64_contents: sizes.to_vec(), ..Default::default() };
            typed.inputs.push(input("sizes", "INT64", &[2, 2]));
            typed.inputs[1].contents = Some(contents);
        }
        let expected = of_http(&server, model, &json!({ "inputs": inputs }));
        check(&client, request, &expected);
        check(&client, typed, &expected);
    }
}

#[test]
fn options_and_outputs_are_those_of_the_request() {
    let (server, client) = start();
    let images = images();
    let texts: Vec<String> = images.iter().map(|image| STANDARD.encode(image)).collect();
    let inputs = json!([{ "name": "images", "datatype": "BYTES", "shape": [3], "data": texts }]);
    for (json, given) in [
        (json!({ "score_threshold": 0.6 }), parameters(&[("score_threshold", DoubleParam(0.6))])),
        (json!({ "score_threshold": 0 }), parameters(&[("score_threshold", Int64Param(0))])),
        (json!({ "iou_threshold": "0.9" }), parameters(&[("iou_threshold", StringParam("0.9".to_owned()))])),
        (json!({ "tile_grid_size": "2x2" }), parameters(&[("tile_grid_size", StringParam("2x2".to_owned()))])),
        (json!({ "priority": 1 }), parameters(&[("priority", Int64Param(1)), ("x", BoolParam(true))])),
    ] {
        let expected = of_http(&server, "d", &json!({ "inputs": inputs, "parameters": json }));
        check(&client, ModelInferRequest { parameters: given, ..encoded("d", &images) }, &expected);
    }
    let expected =
        of_http(&server, "d", &json!({ "inputs": inputs, "outputs": [{ "name": "labels" }, { "name": "boxes" }] }));
    let output = |name: &str| InferRequestedOutputTensor {
        name: name.to_owned(),
        // Clients of Triton say so; it is how all come.
        parameters: parameters(&[("binary_data", BoolParam(true))]),
    };
    let outputs = vec![output("labels"), output("boxes")];
    check(&client, ModelInferRequest { outputs, ..encoded("d", &images) }, &expected);
    let answer = client.infer(ModelInferRequest { id: "42 ä".to_owned(), ..encoded("tiny", &images) }).unwrap();
    assert_eq!(answer.id, "42 ä");
}

#[test]
fn classes_are_answered_as_over_http() {
    let (server, client) = start();
    let images = images();
    let texts: Vec<String> = images.iter().map(|image| STANDARD.encode(image)).collect();
    let inputs = json!([{ "name": "images", "datatype": "BYTES", "shape": [3], "data": texts }]);
    for model in ["tiny", "whole", "multi"] {
        for (count, choice) in [(1, Int64Param(1)), (2, Uint64Param(2)), (3, Int64Param(7))] {
            let output = json!({ "name": "probabilities", "parameters": { "classification": count } });
            let expected = of_http(&server, model, &json!({ "inputs": inputs, "outputs": [output] }));
            let (_, datatype, shape, _) = &expected[0];
            assert_eq!((datatype.as_str(), shape.as_slice()), ("BYTES", &[3, count][..]));
            let outputs = vec![InferRequestedOutputTensor {
                name: "probabilities".to_owned(),
                parameters: parameters(&[("classification", choice)]),
            }];
            check(&client, ModelInferRequest { outputs, ..encoded(model, &images) }, &expected);
        }
    }
}

#[test]
fn compressed_messages_are_understood() {
    let (server, client) = start();
    let plain = of_grpc(&client.infer(encoded("tiny", &images())).unwrap());
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Deflate] {
        let client = Client::new(server.grpc).compressed(encoding);
        assert_eq!(of_grpc(&client.infer(encoded("tiny", &images())).unwrap()), plain);
        assert!(client.call::<_, ServerLiveResponse>("ServerLive", Empty {}).unwrap().live);
    }
}

#[test]
fn a_stream_answers_each_request_in_its_turn() {
    let (_server, client) = start();
    let request = |at: usize| {
        let image = if at == 7 { b"no image".to_vec() } else { red(at as u8 * 5) };
        ModelInferRequest { id: at.to_string(), ..raw(encoded("tiny", &[image])) }
    };
    let (answers, status) = client.stream::<ModelStreamInferResponse>((0..40).map(request).collect());
    assert!(status.is_none(), "{status:?}");
    assert_eq!(answers.len(), 40);
    for (at, answer) in answers.into_iter().enumerate() {
        let told = answer.infer_response.unwrap();
        assert_eq!(told.id, at.to_string());
        assert_eq!(told.parameters, parameters(&[("triton_final_response", BoolParam(true))]));
        if at == 7 {
            assert!(answer.error_message.contains("image 0"), "{}", answer.error_message);
            continue;
        }
        assert_eq!(answer.error_message, "");
        assert_eq!(of_grpc(&told), of_grpc(&client.infer(request(at)).unwrap()));
    }
    let (answers, status) = client.stream::<ModelStreamInferResponse>(Vec::new());
    assert!(answers.is_empty() && status.is_none());
}
