//! What is in an ONNX file: its messages and their fields, up to IR version 13 (`onnx.proto` of ONNX 1.20).

/// A message of the format, as far as it is looked into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Message {
    Model,
    OperatorSet,
    Graph,
    Node,
    Attribute,
    Tensor,
    /// A declared value.
    Declared,
    Type,
    /// Element type and shape of a tensor.
    TensorType,
    /// The type of a list, or of a value that may be missing.
    Nested,
    Map,
    Shape,
    Dimension,
    /// Names of the values that quantise another.
    Annotation,
    /// A key and a value, both texts.
    Entry,
}

/// A field of a message.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub name: &'static str,
    /// Whether it may be there more than once.
    pub many: bool,
    pub kind: Kind,
}

/// What a field holds.
#[derive(Clone, Copy)]
pub(super) enum Kind {
    Number,
    Numbers,
    Float,
    Floats,
    /// Texts, and what needs no look.
    Bytes,
    Message(Message),
    /// The operator set that a node's operator is of.
    Domain,
    /// The length of an axis of a tensor.
    Length,
    /// The type of a tensor's elements.
    Elements,
    /// Elements of a tensor.
    Data(Storage),
    /// Whether a tensor's elements are in another file.
    Location,
    /// What files of Fovea never have, in words.
    Foreign(&'static str),
}

/// The fields that a tensor's elements may be in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Storage {
    Raw,
    Float,
    Int32,
    Text,
    Int64,
    Double,
    Uint64,
}

/// What is said of a tensor whose elements are elsewhere.
pub(super) const EXTERNAL: &str = "tensor data in another file (external data)";
const SPARSE: &str = "a sparse tensor";
const FUNCTION: &str = "a function of the file's own";
const TRAINING: &str = "a graph for training";

const fn one(name: &'static str, kind: Kind) -> Field {
    Field { name, many: false, kind }
}

const fn many(name: &'static str, kind: Kind) -> Field {
    Field { name, many: true, kind }
}

impl Message {
    /// The field of this number, if there is one.
    pub fn field(self, number: u64) -> Option<Field> {
        match self {
            Self::Model => model(number),
            Self::Graph => graph(number),
            Self::Node => node(number),
            Self::Attribute => attribute(number),
            Self::Tensor => tensor(number),
            Self::Declared | Self::Type | Self::TensorType | Self::Nested | Self::Map => self.declaration(number),
            Self::Shape | Self::Dimension => self.shape(number),
            Self::OperatorSet | Self::Annotation | Self::Entry => self.note(number),
        }
    }

    /// Of the messages that declare what a value is.
    fn declaration(self, number: u64) -> Option<Field> {
        Some(match (self, number) {
            (Self::Declared, 1) => one("name", Kind::Bytes),
            (Self::Declared, 2) => one("type", Kind::Message(Self::Type)),
            (Self::Declared, 3) => one("doc_string", Kind::Bytes),
            (Self::Declared, 4) => many("metadata_props", Kind::Message(Self::Entry)),
            (Self::Type, 1) => one("tensor_type", Kind::Message(Self::TensorType)),
            (Self::Type, 4) => one("sequence_type", Kind::Message(Self::Nested)),
            (Self::Type, 5) => one("map_type", Kind::Message(Self::Map)),
            (Self::Type, 6) => one("denotation", Kind::Bytes),
            (Self::Type, 7) => one("opaque_type", Kind::Bytes),
            (Self::Type, 8) => one("sparse_tensor_type", Kind::Message(Self::TensorType)),
            (Self::Type, 9) => one("optional_type", Kind::Message(Self::Nested)),
            (Self::TensorType, 1) => one("elem_type", Kind::Number),
            (Self::TensorType, 2) => one("shape", Kind::Message(Self::Shape)),
            (Self::Nested, 1) => one("elem_type", Kind::Message(Self::Type)),
            (Self::Map, 1) => one("key_type", Kind::Number),
            (Self::Map, 2) => one("value_type", Kind::Message(Self::Type)),
            _ => return None,
        })
    }

    /// Of a declared shape.
    fn shape(self, number: u64) -> Option<Field> {
        Some(match (self, number) {
            (Self::Shape, 1) => many("dim", Kind::Message(Self::Dimension)),
            (Self::Dimension, 1) => one("dim_value", Kind::Number),
            (Self::Dimension, 2) => one("dim_param", Kind::Bytes),
            (Self::Dimension, 3) => one("denotation", Kind::Bytes),
            _ => return None,
        })
    }

    /// Of the messages that hold names only.
    fn note(self, number: u64) -> Option<Field> {
        Some(match (self, number) {
            (Self::OperatorSet, 1) => one("domain", Kind::Bytes),
            (Self::OperatorSet, 2) => one("version", Kind::Number),
            (Self::Annotation, 1) => one("tensor_name", Kind::Bytes),
            (Self::Annotation, 2) => many("quant_parameter_tensor_names", Kind::Message(Self::Entry)),
            (Self::Entry, 1) => one("key", Kind::Bytes),
            (Self::Entry, 2) => one("value", Kind::Bytes),
            _ => return None,
        })
    }
}

fn model(number: u64) -> Option<Field> {
    Some(match number {
        1 => one("ir_version", Kind::Number),
        2 => one("producer_name", Kind::Bytes),
        3 => one("producer_version", Kind::Bytes),
        4 => one("domain", Kind::Bytes),
        5 => one("model_version", Kind::Number),
        6 => one("doc_string", Kind::Bytes),
        7 => one("graph", Kind::Message(Message::Graph)),
        8 => many("opset_import", Kind::Message(Message::OperatorSet)),
        14 => many("metadata_props", Kind::Message(Message::Entry)),
        20 => many("training_info", Kind::Foreign(TRAINING)),
        25 => many("functions", Kind::Foreign(FUNCTION)),
        26 => many("configuration", Kind::Bytes),
        _ => return None,
    })
}

fn graph(number: u64) -> Option<Field> {
    Some(match number {
        1 => many("node", Kind::Message(Message::Node)),
        2 => one("name", Kind::Bytes),
        5 => many("initializer", Kind::Message(Message::Tensor)),
        10 => one("doc_string", Kind::Bytes),
        11 => many("input", Kind::Message(Message::Declared)),
        12 => many("output", Kind::Message(Message::Declared)),
        13 => many("value_info", Kind::Message(Message::Declared)),
        14 => many("quantization_annotation", Kind::Message(Message::Annotation)),
        15 => many("sparse_initializer", Kind::Foreign(SPARSE)),
        16 => many("metadata_props", Kind::Message(Message::Entry)),
        _ => return None,
    })
}

fn node(number: u64) -> Option<Field> {
    Some(match number {
        1 => many("input", Kind::Bytes),
        2 => many("output", Kind::Bytes),
        3 => one("name", Kind::Bytes),
        4 => one("op_type", Kind::Bytes),
        5 => many("attribute", Kind::Message(Message::Attribute)),
        6 => one("doc_string", Kind::Bytes),
        7 => one("domain", Kind::Domain),
        8 => one("overload", Kind::Bytes),
        9 => many("metadata_props", Kind::Message(Message::Entry)),
        10 => many("device_configurations", Kind::Bytes),
        _ => return None,
    })
}

fn attribute(number: u64) -> Option<Field> {
    Some(match number {
        1 => one("name", Kind::Bytes),
        2 => one("f", Kind::Float),
        3 => one("i", Kind::Number),
        4 => one("s", Kind::Bytes),
        5 => one("t", Kind::Message(Message::Tensor)),
        6 => one("g", Kind::Message(Message::Graph)),
        7 => many("floats", Kind::Floats),
        8 => many("ints", Kind::Numbers),
        9 => many("strings", Kind::Bytes),
        10 => many("tensors", Kind::Message(Message::Tensor)),
        11 => many("graphs", Kind::Message(Message::Graph)),
        13 => one("doc_string", Kind::Bytes),
        14 => one("tp", Kind::Message(Message::Type)),
        15 => many("type_protos", Kind::Message(Message::Type)),
        20 => one("type", Kind::Number),
        21 => one("ref_attr_name", Kind::Bytes),
        22 => one("sparse_tensor", Kind::Foreign(SPARSE)),
        23 => many("sparse_tensors", Kind::Foreign(SPARSE)),
        _ => return None,
    })
}

fn tensor(number: u64) -> Option<Field> {
    Some(match number {
        1 => many("dims", Kind::Length),
        2 => one("data_type", Kind::Elements),
        3 => one("segment", Kind::Foreign("a tensor in segments")),
        4 => many("float_data", Kind::Data(Storage::Float)),
        5 => many("int32_data", Kind::Data(Storage::Int32)),
        6 => many("string_data", Kind::Data(Storage::Text)),
        7 => many("int64_data", Kind::Data(Storage::Int64)),
        8 => one("name", Kind::Bytes),
        9 => one("raw_data", Kind::Data(Storage::Raw)),
        10 => many("double_data", Kind::Data(Storage::Double)),
        11 => many("uint64_data", Kind::Data(Storage::Uint64)),
        12 => one("doc_string", Kind::Bytes),
        13 => many("external_data", Kind::Foreign(EXTERNAL)),
        14 => one("data_location", Kind::Location),
        16 => many("metadata_props", Kind::Message(Message::Entry)),
        _ => return None,
    })
}
