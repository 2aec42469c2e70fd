//! Graph to ONNX protobuf. Fovea only writes with these types: files of others are never parsed with them.

use models::ops::DType;
use onnx_protobuf::attribute_proto::AttributeType;
use onnx_protobuf::tensor_proto::DataType;
use onnx_protobuf::{
    AttributeProto, GraphProto, Message, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TypeProto, ValueInfoProto, tensor_shape_proto, type_proto,
};
use protobuf::{EnumOrUnknown, MessageField};

use crate::graph::{Attribute, Dim, Graph, Initializer, Node, ValueInfo};

/// Version of the ONNX operator set that every node is written for.
pub const OPSET: i64 = 18;
/// Version of the ONNX file format.
pub const IR_VERSION: i64 = 10;
/// Largest message that protobuf readers accept, in bytes. Larger models would need their weights in a second file.
pub const MAX_BYTES: u64 = (1 << 31) - 1;

/// What a file says beside its graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header<'a> {
    /// Name of the graph.
    pub graph: &'a str,
    /// What the model is, for people.
    pub doc: &'a str,
    /// Keys and values kept for programs, in this order.
    pub metadata: &'a [(&'a str, &'a str)],
}

/// The whole file as a message.
#[must_use]
pub fn model(graph: Graph, header: &Header) -> ModelProto {
    ModelProto {
        ir_version: IR_VERSION,
        opset_import: vec![OperatorSetIdProto { version: OPSET, ..Default::default() }],
        producer_name: "fovea".to_owned(),
        producer_version: env!("CARGO_PKG_VERSION").to_owned(),
        doc_string: header.doc.to_owned(),
        metadata_props: header.metadata.iter().map(|(key, value)| entry(key, value)).collect(),
        graph: MessageField::some(graph_proto(graph, header.graph)),
        ..Default::default()
    }
}

fn graph_proto(graph: Graph, name: &str) -> GraphProto {
    GraphProto {
        name: name.to_owned(),
        input: graph.inputs.into_iter().map(value_info).collect(),
        output: graph.outputs.into_iter().map(value_info).collect(),
        node: graph.nodes.into_iter().map(node).collect(),
        initializer: graph.initializers.into_iter().map(tensor).collect(),
        ..Default::default()
    }
}

/// Size of the message in bytes once written.
#[must_use]
pub fn size(model: &ModelProto) -> u64 {
    model.compute_size()
}

/// Writes the message.
///
/// # Errors
/// What the writer reports.
pub fn write(model: &ModelProto, to: &mut dyn std::io::Write) -> std::io::Result<()> {
    model.write_to_writer(to).map_err(std::io::Error::other)
}

/// The whole file in memory.
///
/// # Errors
/// What the writer reports.
pub fn bytes(graph: Graph, header: &Header) -> std::io::Result<Vec<u8>> {
    model(graph, header).write_to_bytes().map_err(std::io::Error::other)
}

/// Name of an element type as NumPy spells it.
#[must_use]
pub fn dtype_name(dtype: DType) -> &'static str {
    match dtype {
        DType::F32 => "float32",
        DType::U8 => "uint8",
        DType::I64 => "int64",
        DType::F64 => "float64",
    }
}

/// ONNX's number of an element type.
#[must_use]
pub fn dtype_code(dtype: DType) -> i32 {
    match dtype {
        DType::F32 => DataType::FLOAT as i32,
        DType::U8 => DataType::UINT8 as i32,
        DType::I64 => DataType::INT64 as i32,
        DType::F64 => DataType::DOUBLE as i32,
    }
}

fn entry(key: &str, value: &str) -> StringStringEntryProto {
    StringStringEntryProto { key: key.to_owned(), value: value.to_owned(), ..Default::default() }
}

fn value_info(info: ValueInfo) -> ValueInfoProto {
    use tensor_shape_proto::{Dimension, dimension};
    let dim = |dim| Dimension {
        value: match dim {
            Dim::Fixed(n) => Some(dimension::Value::DimValue(n)),
            Dim::Named(name) => Some(dimension::Value::DimParam(name.to_owned())),
            Dim::Any => None,
        },
        ..Default::default()
    };
    let shape = TensorShapeProto { dim: info.dims.into_iter().map(dim).collect(), ..Default::default() };
    let tensor = type_proto::Tensor {
        elem_type: dtype_code(info.dtype),
        shape: MessageField::some(shape),
        ..Default::default()
    };
    ValueInfoProto {
        name: info.name.to_string(),
        doc_string: info.doc,
        type_: MessageField::some(TypeProto {
            value: Some(type_proto::Value::TensorType(tensor)),
            ..Default::default()
        }),
        ..Default::default()
    }
}

fn node(node: Node) -> NodeProto {
    NodeProto {
        name: node.name.to_string(),
        op_type: node.op.to_owned(),
        input: node.inputs.iter().map(ToString::to_string).collect(),
        output: node.outputs.iter().map(ToString::to_string).collect(),
        attribute: node.attributes.into_iter().map(attribute).collect(),
        ..Default::default()
    }
}

/// The type is set by hand: readers refuse an attribute without it.
fn attribute((name, value): (&'static str, Attribute)) -> AttributeProto {
    let mut out = AttributeProto { name: name.to_owned(), ..Default::default() };
    let kind = match value {
        Attribute::Int(i) => {
            out.i = i;
            AttributeType::INT
        }
        Attribute::Float(f) => {
            out.f = f;
            AttributeType::FLOAT
        }
        Attribute::Ints(ints) => {
            out.ints = ints;
            AttributeType::INTS
        }
        Attribute::Text(text) => {
            out.s = text.as_bytes().to_vec();
            AttributeType::STRING
        }
        Attribute::Graph(body) => {
            out.g = MessageField::some(graph_proto(*body, name));
            AttributeType::GRAPH
        }
    };
    out.type_ = EnumOrUnknown::new(kind);
    out
}

fn tensor(init: Initializer) -> TensorProto {
    TensorProto {
        name: init.name.to_string(),
        data_type: dtype_code(init.dtype),
        dims: init.dims,
        raw_data: init.data,
        ..Default::default()
    }
}
