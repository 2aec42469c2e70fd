//! Calls as ONNX files, run by ONNX Runtime.

use exporter::builder::{Builder, Length};
use exporter::graph::Dim;
use exporter::proto::{self, Header};
use exporter::source::{ParamError, ParamSource};
use ort::session::Session;
use ort::value::{DynValue, Tensor};

use super::{Array, Call, Data};

struct NoParameters;

impl ParamSource for NoParameters {
    fn parameter(&self, key: &str, _: &[i64]) -> Result<Vec<u8>, ParamError> {
        Err(ParamError::Missing { key: key.to_owned() })
    }
}

/// What a call gives on Builder and ONNX Runtime. With `known` shapes the builder may use them; otherwise every dimension
/// is left open that the method does not need to know.
///
/// # Panics
/// When the graph is refused or does not run, or when the builder claims a length that is another.
#[must_use]
pub fn outputs(what: &str, call: &Call, inputs: &[Array], known: bool) -> Vec<Array> {
    let (bytes, claimed) = file(what, call, inputs, known);
    let environment = runtime::init(None).expect("ONNX Runtime, which scripts/setup fetches");
    let builder = Session::builder(environment).expect("session options");
    let mut builder = builder.with_intra_threads(1).expect("session options");
    let mut session = builder.commit_from_memory(&bytes).unwrap_or_else(|e| panic!("{what}: {e}"));
    let inputs: Vec<(String, DynValue)> =
        inputs.iter().enumerate().map(|(i, a)| (format!("input{i}"), value(a))).collect();
    let found = session.run(inputs).unwrap_or_else(|e| panic!("{what}: {e}"));
    let give = |(i, dims): (usize, &Vec<Length>)| {
        let output = array(&found[format!("output{i}").as_str()]);
        let fits =
            dims.len() == output.shape.len() && dims.iter().zip(&output.shape).all(|(c, d)| c.is_none_or(|c| c == *d));
        assert!(fits, "{what}: {dims:?} is claimed of {:?}", output.shape);
        output
    };
    claimed.iter().enumerate().map(give).collect()
}

/// A file with one node or a few, and what the builder knows of the outputs.
fn file(what: &str, call: &Call, inputs: &[Array], known: bool) -> (Vec<u8>, Vec<Vec<Length>>) {
    let needed = |input: usize, axis: usize| {
        // Weights are as large as they are; only what comes from the caller varies.
        let rank = inputs[input].shape.len();
        input >= call.given(inputs.len())
            || match call {
                Call::Repeat => (input, axis) == (0, 0),
                Call::Head => input == 1,
                // How wide a head is, and what is divided, belongs to the network.
                Call::Attention => axis + 1 == rank,
                Call::Split { axis: divided, .. } => {
                    i64::try_from(axis).is_ok_and(|a| a == *divided || a == *divided + rank as i64)
                }
                _ => false,
            }
    };
    let dim = |input: usize, axis: usize, length: i64| match known || needed(input, axis) {
        true => Dim::Fixed(length),
        false => Dim::Named(format!("length_{input}_{axis}").leak()),
    };
    let builder = Builder::new(&NoParameters);
    let give = |(i, array): (usize, &Array)| {
        let dims: Vec<Dim> = array.shape.iter().enumerate().map(|(axis, &d)| dim(i, axis, d)).collect();
        builder.input(&format!("input{i}"), array.dtype(), &dims, "")
    };
    let values: Vec<_> = inputs.iter().enumerate().map(give).collect();
    let values = call.on(&builder, &values);
    let mut claimed = Vec::new();
    for (i, value) in values.iter().enumerate() {
        let dims: Vec<Dim> = (0..value.dims().len()).map(|axis| Dim::Named(format!("out_{i}_{axis}").leak())).collect();
        builder.output(value, &format!("output{i}"), &dims, "");
        claimed.push(value.dims().to_vec());
    }
    let graph = builder.finish().unwrap_or_else(|e| panic!("{what}: {e}"));
    let header = Header { graph: what, doc: "", metadata: &[] };
    (proto::bytes(graph, &header).expect("a small graph is written"), claimed)
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
