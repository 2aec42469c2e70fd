//! Requests that cannot be answered: whose fault it is, in gRPC's words, with the text and the code that HTTP has.

use prost::Message;
use prost::bytes::Bytes;
use server::grpc::messages::{
    Empty, InferRequestedOutputTensor, InferTensorContents, ModelInferRequest,
    ParameterChoice::{self, BoolParam, DoubleParam, Int64Param, StringParam},
};
use tonic::{Code, Status, codec::CompressionEncoding};

use super::{client::Client, encoded, input, parameters, pixels, raw, red};
use crate::{images::png_header, support::Server};

/// What no status may contain.
const LEAKS: [&str; 6] = ["panicked", ".rs", "/home", "/tmp", "backtrace", "thread '"];

#[track_caller]
fn check(what: &str, status: &Status, code: Code, error: &str) {
    assert_eq!(status.code(), code, "{what}: {status:?}");
    assert_eq!(status.metadata().get("error-code").unwrap(), error, "{what}: {status:?}");
    assert!(status.message().len() > 10, "{what}: {status:?}");
    for leak in LEAKS {
        assert!(!status.message().contains(leak), "{what}: {status:?}");
    }
}

fn good() -> ModelInferRequest {
    pixels("whole", [1, 1, 1, 3], &[1, 2, 3])
}

fn typed(datatype: &str, contents: InferTensorContents) -> ModelInferRequest {
    let mut request = good();
    request.raw_input_contents.clear();
    request.inputs[0].datatype = datatype.to_owned();
    request.inputs[0].contents = Some(contents);
    request
}

fn with(change: impl FnOnce(&mut ModelInferRequest)) -> ModelInferRequest {
    let mut request = good();
    change(&mut request);
    request
}

fn bad_inputs() -> Vec<(&'static str, ModelInferRequest)> {
    let numbers = |numbers: &[u32]| InferTensorContents { uint_contents: numbers.to_vec(), ..Default::default() };
    vec![
        ("no inputs", with(|r| r.inputs.clear())),
        (
            "nothing at all",
            with(|r| {
                r.inputs.clear();
                r.raw_input_contents.clear();
            }),
        ),
        ("a missing input", with(|r| r.inputs[0].name = "other".to_owned())),
        (
            "an input twice",
            with(|r| {
                r.inputs.push(r.inputs[0].clone());
                r.raw_input_contents.push(r.raw_input_contents[0].clone());
            }),
        ),
        ("too few bytes", with(|r| r.raw_input_contents = vec![Bytes::from_static(&[1, 2])])),
        ("too many bytes", with(|r| r.raw_input_contents = vec![Bytes::from_static(&[1, 2, 3, 4])])),
        ("fewer raw contents than inputs", with(|r| r.inputs.push(r.inputs[0].clone()))),
        ("more raw contents than inputs", with(|r| r.raw_input_contents.push(Bytes::new()))),
        ("both forms", with(|r| r.inputs[0].contents = Some(numbers(&[1, 2, 3])))),
        ("both forms, one empty", with(|r| r.inputs[0].contents = Some(InferTensorContents::default()))),
        ("neither form", with(|r| r.raw_input_contents.clear())),
        ("too few values", typed("UINT8", numbers(&[1, 2]))),
        ("too many values", typed("UINT8", numbers(&[1, 2, 3, 4]))),
        ("a value of 256", typed("UINT8", numbers(&[1, 2, 256]))),
        (
            "pixels as INT64",
            typed("UINT8", InferTensorContents { int64_contents: vec![1, 2, 3], ..Default::default() }),
        ),
        ("an empty element", raw(encoded("tiny", &[Vec::new()]))),
    ]
}

fn bad_options() -> Vec<(&'static str, ModelInferRequest)> {
    let output = |name: &str, named: &[(&str, _)]| InferRequestedOutputTensor {
        name: name.to_owned(),
        parameters: parameters(named),
    };
    let classes =
        |name: &str, count: ParameterChoice| with(|r| r.outputs.push(output(name, &[("classification", count)])));
    vec![
        ("an unknown output", with(|r| r.outputs.push(output("zz", &[])))),
        ("an output twice", with(|r| r.outputs = vec![output("probabilities", &[]); 2])),
        ("no classes", classes("probabilities", Int64Param(0))),
        ("-1 classes", classes("probabilities", Int64Param(-1))),
        ("classes as a text", classes("probabilities", StringParam("2".to_owned()))),
        ("classes as a fraction", classes("probabilities", DoubleParam(1.5))),
        ("classes as a truth", classes("probabilities", BoolParam(true))),
        ("classes of a classifier's boxes", classes("boxes", Int64Param(2))),
        (
            "classes of boxes",
            ModelInferRequest { outputs: classes("boxes", Int64Param(2)).outputs, ..encoded("d", &[red(9)]) },
        ),
        (
            "shared memory for an output",
            with(|r| {
                r.outputs.push(output("probabilities", &[("shared_memory_region", StringParam("a".to_owned()))]));
            }),
        ),
        (
            "shared memory for an input",
            with(|r| {
                r.inputs[0].parameters = parameters(&[("shared_memory_region", StringParam("a".to_owned()))]);
            }),
        ),
        ("another datatype", with(|r| r.inputs[0].datatype = "FP32".to_owned())),
        ("a bogus datatype", with(|r| r.inputs[0].datatype = "PIXELS".to_owned())),
        ("no datatype", with(|r| r.inputs[0].datatype.clear())),
        ("a shape of -1", with(|r| r.inputs[0].shape[0] = -1)),
        ("a shape of zeros", with(|r| r.inputs[0].shape = vec![1, 0, 0, 3])),
        ("a shape of rank 3", with(|r| r.inputs[0].shape = vec![1, 1, 3])),
        ("no shape", with(|r| r.inputs[0].shape.clear())),
        ("four channels", with(|r| r.inputs[0].shape = vec![1, 1, 1, 4])),
        ("an id of 300 characters", with(|r| r.id = "i".repeat(300))),
        ("an option of a detector", with(|r| r.parameters = parameters(&[("score_threshold", DoubleParam(0.5))]))),
        ("a threshold that is a bool", detector(BoolParam(true))),
        ("a threshold that is not finite", detector(DoubleParam(f64::NAN))),
        ("a threshold above 1", detector(DoubleParam(1.5))),
        ("a threshold that is no number", detector(StringParam("much".to_owned()))),
        ("a threshold that is long", detector(StringParam("0".repeat(100)))),
        (
            "sizes of a classifier",
            with(|r| {
                r.inputs.push(input("sizes", "INT64", &[1, 2]));
                r.raw_input_contents.push(Bytes::from_static(&[0; 16]));
            }),
        ),
        (
            "an element that is longer than the rest",
            with(|r| {
                r.inputs[0] = input("images", "BYTES", &[1]);
                r.raw_input_contents = vec![Bytes::from_static(&[255; 4])];
            }),
        ),
        (
            "an element without its length",
            with(|r| {
                r.inputs[0] = input("images", "BYTES", &[1]);
                r.raw_input_contents = vec![Bytes::from_static(&[1, 0, 0])];
            }),
        ),
        (
            "more elements than said",
            with(|r| {
                r.inputs[0] = input("images", "BYTES", &[1]);
                r.raw_input_contents = vec![Bytes::from_static(&[0; 8])];
            }),
        ),
        ("fewer elements than said", encoded_with(|r| r.inputs[0].shape = vec![2])),
        ("encoded images of rank 2", encoded_with(|r| r.inputs[0].shape = vec![1, 2])),
    ]
}

fn detector(choice: ParameterChoice) -> ModelInferRequest {
    ModelInferRequest { parameters: parameters(&[("score_threshold", choice)]), ..encoded("d", &[red(9)]) }
}

fn encoded_with(change: impl FnOnce(&mut ModelInferRequest)) -> ModelInferRequest {
    let mut request = encoded("tiny", &[red(9)]);
    change(&mut request);
    request
}

#[test]
fn a_clients_mistake_is_called_so() {
    let server = Server::with_detectors(&["--grpc", "127.0.0.1:0"]);
    let client = Client::new(server.grpc);
    client.infer(good()).unwrap();
    for (what, request) in bad_inputs().into_iter().chain(bad_options()) {
        let error = if what == "an empty element" { "invalid_image" } else { "invalid_request" };
        check(what, &client.infer(request).unwrap_err(), Code::InvalidArgument, error);
    }
    check(
        "no image",
        &client.infer(encoded("tiny", &[b"GIF8".to_vec()])).unwrap_err(),
        Code::InvalidArgument,
        "invalid_image",
    );
    for (name, version) in [("nope", ""), ("whole", "2"), ("", ""), ("..", "1")] {
        let request = ModelInferRequest { model_name: name.to_owned(), model_version: version.to_owned(), ..good() };
        check(name, &client.infer(request).unwrap_err(), Code::NotFound, "unknown_model");
    }
    client.infer(good()).unwrap();
}

#[test]
fn what_is_too_large_is_called_so() {
    let server = Server::start(&["--grpc", "127.0.0.1:0", "--max-body", "1", "--max-images", "3", "--memory", "16"]);
    let client = Client::new(server.grpc);
    let message = raw(encoded("tiny", &[vec![7; 2 << 20]]));
    for (what, request, error) in [
        ("a message of 2 MiB", message.clone(), "body_too_large"),
        ("four images", encoded("tiny", &vec![red(9); 4]), "too_many_images"),
        ("a huge image", encoded("tiny", &[png_header(30_000, 30_000)]), "image_too_large"),
        ("a tensor of huge sides", pixels("whole", [1, 1 << 40, 1 << 40, 3], &[1]), "image_too_large"),
        ("2^62 images", pixels("whole", [1 << 62, 1, 1, 3], &[1]), "too_many_images"),
    ] {
        check(what, &client.infer(request).unwrap_err(), Code::ResourceExhausted, error);
    }
    for encoding in [CompressionEncoding::Gzip, CompressionEncoding::Deflate] {
        let compressed = Client::new(server.grpc).compressed(encoding);
        check("a bomb", &compressed.infer(message.clone()).unwrap_err(), Code::ResourceExhausted, "body_too_large");
    }
    client.infer(good()).unwrap();
}

/// Messages whose decoding would take a hundred times their size.
#[test]
fn small_messages_that_become_large_are_refused() {
    let server = Server::start(&["--grpc", "127.0.0.1:0"]);
    let client = Client::new(server.grpc);
    client.infer(good()).unwrap();
    let before = server.peak_memory();
    for field in [0x22u8, 0x2a, 0x32, 0x3a] {
        let bomb = [&good().encode_to_vec()[..], &[field, 0].repeat(4_000_000)].concat();
        let status = client.call::<_, Empty>("ModelInfer", Encoded(bomb)).unwrap_err();
        check("a bomb", &status, Code::InvalidArgument, "invalid_request");
    }
    let bomb = encoded("tiny", &vec![Vec::new(); 2_000_000]);
    check("a bomb", &client.infer(bomb).unwrap_err(), Code::InvalidArgument, "invalid_request");
    let grown = server.peak_memory() - before;
    assert!(grown < 64 << 20, "{} MiB for messages of 8 MB", grown >> 20);
    for garbage in [&b"\xff\xff\xff"[..], b"\x0a\xff", b"\x0a\x01\xff", b"\x2b\x2b\x2b\x2b", &[0; 100]] {
        let status = client.call::<_, Empty>("ModelInfer", Encoded(garbage.to_vec())).unwrap_err();
        check("garbage", &status, Code::InvalidArgument, "invalid_request");
        let status = client.call::<_, Empty>("ModelReady", Encoded(garbage.to_vec())).unwrap_err();
        check("garbage", &status, Code::InvalidArgument, "invalid_request");
    }
    client.infer(good()).unwrap();
}

/// Bytes in place of a message.
#[derive(Debug, Default)]
struct Encoded(Vec<u8>);

impl Message for Encoded {
    fn encode_raw(&self, to: &mut impl prost::bytes::BufMut) {
        to.put_slice(&self.0);
    }

    fn merge_field(
        &mut self,
        _: u32,
        _: prost::encoding::WireType,
        _: &mut impl prost::bytes::Buf,
        _: prost::encoding::DecodeContext,
    ) -> Result<(), prost::DecodeError> {
        Ok(())
    }

    fn encoded_len(&self) -> usize {
        self.0.len()
    }

    fn clear(&mut self) {
        self.0.clear();
    }
}
