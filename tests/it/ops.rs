//! The standard's node tests on the interpreters that need no libtorch.

use exporter::builder::Builder;
use exporter::graph::Dim;
use exporter::proto::{self, Header};
use exporter::source::{ParamError, ParamSource};
use models::manifest::Manifest;
use ort::session::Session;
use ort::value::{DynValue, Tensor};
use tests::cases::{self, Array, Case, Data};

#[test]
fn manifest_knows_every_shape() {
    let mut count = 0;
    for case in cases::all() {
        let manifest = Manifest::default();
        let inputs: Vec<_> = case.inputs.iter().map(|i| manifest.input(&i.shape)).collect();
        let output = case.call.on(&manifest, &inputs);
        let error = manifest.finish().err();
        assert!(error.is_none(), "{}: {error:?}", case.name);
        assert_eq!(output.as_ref(), case.output.shape, "{}", case.name);
        count += 1;
    }
    assert!(count > 100, "{count} cases");
}

struct NoParameters;

impl ParamSource for NoParameters {
    fn parameter(&self, key: &str, _: &[i64]) -> Result<Vec<u8>, ParamError> {
        Err(ParamError::Missing { key: key.to_owned() })
    }
}

/// A case as an ONNX file with one node or a few. With `known` shapes the builder may use them; otherwise every
/// dimension is left open.
fn onnx(case: &Case, known: bool) -> Vec<u8> {
    const OPEN: [&str; 4] = ["a", "b", "c", "d"];
    let dims = |array: &Array, input: usize| -> Vec<Dim> {
        let open = |axis: usize| match (input, axis) {
            // Weights are as large as they are; only what comes from the caller varies.
            (0, axis) if !known => Dim::Named(OPEN[axis]),
            (_, axis) => Dim::Fixed(array.shape[axis]),
        };
        (0..array.shape.len()).map(open).collect()
    };
    let builder = Builder::new(&NoParameters);
    let inputs: Vec<_> = (case.inputs.iter().enumerate())
        .map(|(i, array)| builder.input(&format!("input{i}"), array.dtype(), &dims(array, i), ""))
        .collect();
    let value = case.call.on(&builder, &inputs);
    let sizes: Vec<Dim> = case.output.shape.iter().map(|d| Dim::Fixed(*d)).collect();
    builder.output(&value, "output", &sizes, "");
    let graph = builder.finish().unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let header = Header { graph: &case.name, doc: "", metadata: &[] };
    proto::bytes(graph, &header).expect("a small graph is written")
}

fn value(array: &Array) -> DynValue {
    let shape = array.shape.clone();
    let made = match array.data.clone() {
        Data::F32(v) => Tensor::from_array((shape, v)).map(Tensor::into_dyn),
        Data::U8(v) => Tensor::from_array((shape, v)).map(Tensor::into_dyn),
        Data::I64(v) => Tensor::from_array((shape, v)).map(Tensor::into_dyn),
    };
    made.expect("a tensor")
}

fn array(value: &DynValue) -> Array {
    let shape = value.shape().to_vec();
    let data = (value.try_extract_tensor::<f32>().map(|(_, v)| Data::F32(v.to_vec())))
        .or_else(|_| value.try_extract_tensor::<u8>().map(|(_, v)| Data::U8(v.to_vec())))
        .or_else(|_| value.try_extract_tensor::<i64>().map(|(_, v)| Data::I64(v.to_vec())));
    Array { shape, data: data.expect("one of three element types") }
}

fn run(case: &Case, bytes: &[u8]) -> Array {
    let environment = runtime::init(None).expect("ONNX Runtime, which scripts/setup fetches");
    let builder = Session::builder(environment).expect("session options");
    let mut builder = builder.with_intra_threads(1).expect("session options");
    let mut session = builder.commit_from_memory(bytes).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    let inputs: Vec<(String, DynValue)> =
        case.inputs.iter().enumerate().map(|(i, a)| (format!("input{i}"), value(a))).collect();
    let outputs = session.run(inputs).unwrap_or_else(|e| panic!("{}: {e}", case.name));
    array(&outputs["output"])
}

#[test]
fn builder_and_onnx_runtime_pass_the_standard() {
    for case in cases::all() {
        case.check("Builder with sizes", &run(&case, &onnx(&case, true)));
        case.check("Builder without sizes", &run(&case, &onnx(&case, false)));
    }
}
