//! Scan: an ONNX file is looked through before ONNX Runtime gets it, which trusts a file in more than a server should.
//!
//! [`file`] and [`bytes`] walk the protobuf field by field and refuse what is broken, what is beyond limits that are far above
//! those of any file that `exporter` writes, and what such a file never has: tensor data in other files (which can be any file of the
//! machine), operators that are not ONNX's own, functions (of which a few lines can unfold to any size, or call themselves), graphs for
//! training and sparse tensors (of which a few bytes can unfold to any size). The elements of tensors are passed over, so that a large
//! file costs no more than a small one, and nothing is allocated.

mod format;
mod tensor;
pub(crate) mod wire;

use std::{
    fmt,
    fs::File,
    io::{BufRead, BufReader, Cursor, Seek, SeekFrom},
    path::Path,
};

use thiserror::Error;

use format::{EXTERNAL, Field, Kind, Message, Storage};
use tensor::Tensor;
use wire::{Value, Wire};

/// Most bytes of a file, as many as protobuf's own readers take.
const MOST_BYTES: u64 = (1 << 31) - 1;
/// Most messages within one another. A graph in a node of another is three further in; protobuf's own readers take 100.
const MOST_DEEP: u32 = 64;
/// Most nodes, those of inner graphs included.
const MOST_NODES: u64 = 100_000;
/// Most tensors: initializers and those in attributes.
const MOST_TENSORS: u64 = 100_000;
/// Most axes of a tensor.
const MOST_AXES: u32 = 32;
/// Most fields of all messages together.
const MOST_FIELDS: u64 = 4_000_000;
/// The field of a model that is its graph.
const GRAPH: usize = 7;
/// Numbers of fields are below this one.
const FIELDS: usize = 32;
/// Longest name of an operator set that is quoted.
const DOMAIN: usize = 64;

/// Why a file is refused, and where in it.
#[derive(Debug, PartialEq, Eq)]
pub struct Fault {
    /// Fields from the outermost on, such as `graph.node[3].attribute[0].t`; empty for the whole file.
    place: String,
    /// How far the file had been read.
    at: u64,
    problem: Problem,
}

impl std::error::Error for Fault {}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { place, at, problem } = self;
        if place.is_empty() { write!(f, "byte {at}: {problem}") } else { write!(f, "{place}, byte {at}: {problem}") }
    }
}

/// What is wrong.
#[derive(Debug, PartialEq, Eq, Error)]
pub(crate) enum Problem {
    #[error("it cannot be read: {reason}")]
    Unread { reason: String },
    #[error("it has become shorter while it was read")]
    Shrunk,
    #[error("it has {bytes} bytes, the limit is {MOST_BYTES}")]
    TooLong { bytes: u64 },
    #[error("it is in ONNX Runtime's own format; give the ONNX file it was made of")]
    OtherFormat,
    #[error("it has no graph, so it is no ONNX model")]
    NoGraph,
    #[error("{length} bytes are announced where {left} are left: the file is cut off, damaged, or no ONNX model")]
    Outside { length: u64, left: u64 },
    #[error("a number does not end, or has more than 64 bits: the file is damaged, or no ONNX model")]
    Number,
    #[error("a field of kind {kind}, which ONNX does not use: the file is damaged, or no ONNX model")]
    Kind { kind: u64 },
    #[error("a field of number {number}, which ONNX does not have there: the file is damaged, or no ONNX model")]
    Unknown { number: u64 },
    #[error("a field of another kind than ONNX has there: the file is damaged, or no ONNX model")]
    OtherKind,
    #[error("it is there twice, where ONNX has it once")]
    Twice,
    #[error("{what}, which no file of Fovea has")]
    Foreign { what: &'static str },
    #[error("an operator of the set '{domain}'; files of Fovea use ONNX's own (ai.onnx) alone")]
    Domain { domain: String },
    #[error("more than {most} {what}, the limit")]
    TooMany { what: &'static str, most: u64 },
    #[error("the type {code} of its elements is none that ONNX has")]
    Elements { code: u64 },
    #[error("its elements are in a field that is not for their type, {code}")]
    Storage { code: u64 },
    #[error("its elements are in two fields")]
    TwoFields,
    #[error("its shape has a negative length, or says more elements than can be counted")]
    TooLarge,
    #[error("its shape says {needed} {unit}, it holds {held}")]
    Size { needed: u64, held: u64, unit: &'static str },
}

/// Looks through a file.
///
/// ```
/// let error = runtime::scan::bytes(b"no model").unwrap_err();
/// assert!(error.to_string().contains("no ONNX model"), "{error}");
/// ```
///
/// # Errors
/// What is wrong with it, and where.
pub fn file(path: &Path) -> Result<(), Fault> {
    match File::open(path) {
        Ok(file) => check(BufReader::new(file)),
        Err(error) => Err(Problem::Unread { reason: error.to_string() }.at(0)),
    }
}

/// Looks through a file that is in memory.
///
/// # Errors
/// As [`file`].
pub fn bytes(bytes: &[u8]) -> Result<(), Fault> {
    check(Cursor::new(bytes))
}

fn check(mut source: impl BufRead + Seek) -> Result<(), Fault> {
    let length = source.seek(SeekFrom::End(0)).and_then(|length| source.rewind().map(|()| length));
    let length = length.map_err(|error| Problem::Unread { reason: error.to_string() }.at(0))?;
    if length > MOST_BYTES {
        return Err(Problem::TooLong { bytes: length }.at(0));
    }
    // ONNX Runtime tells its own format by these bytes, whatever else a file is.
    if source.fill_buf().is_ok_and(|start| start.get(4..8) == Some(b"ORTM")) {
        return Err(Problem::OtherFormat.at(0));
    }
    let mut scan = Scan { wire: Wire::new(source), nodes: 0, tensors: 0, fields: 0 };
    scan.message(Message::Model, length, 0)
}

impl Problem {
    fn at(self, at: u64) -> Fault {
        Fault { place: String::new(), at, problem: self }
    }
}

impl Fault {
    /// The fault of what is in this field.
    fn inside(mut self, field: Field, index: u32) -> Self {
        let dot = if self.place.is_empty() { "" } else { "." };
        let place = if field.many { format!("{}[{index}]", field.name) } else { field.name.to_owned() };
        self.place = format!("{place}{dot}{}", self.place);
        self
    }
}

/// A walk through a file, and what has been counted.
struct Scan<R> {
    wire: Wire<R>,
    nodes: u64,
    tensors: u64,
    fields: u64,
}

impl<R: BufRead + Seek> Scan<R> {
    /// Reads a message that ends there, and all in it.
    fn message(&mut self, message: Message, end: u64, deep: u32) -> Result<(), Fault> {
        self.count(message, deep).map_err(|problem| self.here(problem))?;
        let (mut seen, mut tensor) = ([0; FIELDS], Tensor::default());
        while let Some((number, value)) = self.wire.field(end).map_err(|problem| self.here(problem))? {
            let known = message.field(number).zip(usize::try_from(number).ok().and_then(|n| seen.get_mut(n)));
            let (field, seen) = known.ok_or_else(|| self.here(Problem::Unknown { number }))?;
            let index: u32 = *seen;
            *seen += 1;
            let read = match self.take(field, index, value, &mut tensor) {
                Ok(Some((inner, end))) => self.message(inner, end, deep + 1),
                Ok(None) => Ok(()),
                Err(problem) => Err(self.here(problem)),
            };
            read.map_err(|fault| fault.inside(field, index))?;
        }
        if message == Message::Model && seen[GRAPH] == 0 {
            return Err(self.here(Problem::NoGraph));
        }
        if message == Message::Tensor { tensor.check().map_err(|problem| self.here(problem)) } else { Ok(()) }
    }

    /// Counts a message that begins, so many messages deep.
    fn count(&mut self, message: Message, deep: u32) -> Result<(), Problem> {
        if deep > MOST_DEEP {
            return Err(Problem::TooMany { what: "messages within one another", most: MOST_DEEP.into() });
        }
        self.nodes += u64::from(message == Message::Node);
        self.tensors += u64::from(message == Message::Tensor);
        let counted = [(self.nodes, MOST_NODES, "nodes"), (self.tensors, MOST_TENSORS, "tensors")];
        match counted.into_iter().find(|(count, most, _)| count > most) {
            Some((_, most, what)) => Err(Problem::TooMany { what, most }),
            None => Ok(()),
        }
    }

    /// Reads the value of a field, but for a message: of that it says which it is, and where it ends.
    fn take(
        &mut self,
        field: Field,
        index: u32,
        value: Value,
        tensor: &mut Tensor,
    ) -> Result<Option<(Message, u64)>, Problem> {
        self.fields += 1;
        if self.fields > MOST_FIELDS {
            return Err(Problem::TooMany { what: "fields", most: MOST_FIELDS });
        }
        if index > 0 && !field.many {
            return Err(Problem::Twice);
        }
        match (field.kind, value) {
            (Kind::Message(message), Value::Bytes(length)) => return Ok(Some((message, self.wire.at() + length))),
            (Kind::Foreign(what), _) => return Err(Problem::Foreign { what }),
            (Kind::Location, Value::Number(0)) => {}
            (Kind::Location, Value::Number(_)) => return Err(Problem::Foreign { what: EXTERNAL }),
            (Kind::Number | Kind::Numbers, Value::Number(_)) | (Kind::Float | Kind::Floats, Value::Fixed32) => {}
            (Kind::Bytes | Kind::Numbers | Kind::Floats, Value::Bytes(length)) => self.pass(length)?,
            (Kind::Domain, Value::Bytes(length)) => self.domain(length)?,
            (Kind::Elements, Value::Number(code)) => tensor.is_of(code),
            (Kind::Length, Value::Number(length)) => tensor.axis(length)?,
            (Kind::Length, Value::Bytes(length)) => self.lengths(length, tensor)?,
            (Kind::Data(storage), value) => tensor.hold(storage, self.elements(storage, value)?)?,
            _ => return Err(Problem::OtherKind),
        }
        Ok(None)
    }

    /// The lengths of axes, one after the other.
    fn lengths(&mut self, bytes: u64, tensor: &mut Tensor) -> Result<(), Problem> {
        let end = self.wire.at() + bytes;
        while self.wire.at() < end {
            tensor.axis(self.wire.number(end)?)?;
        }
        Ok(())
    }

    /// Passes over elements of a tensor, and counts them: bytes of `raw_data`, values of the other fields.
    fn elements(&mut self, storage: Storage, value: Value) -> Result<u64, Problem> {
        let packed =
            |bytes: u64, each: u64| if bytes.is_multiple_of(each) { Ok(bytes / each) } else { Err(Problem::OtherKind) };
        match (storage, value) {
            (Storage::Raw, Value::Bytes(length)) => self.pass(length).map(|()| length),
            (Storage::Text, Value::Bytes(length)) => self.pass(length).map(|()| 1),
            (Storage::Float, Value::Bytes(length)) => self.pass(length).and_then(|()| packed(length, 4)),
            (Storage::Double, Value::Bytes(length)) => self.pass(length).and_then(|()| packed(length, 8)),
            (Storage::Int32 | Storage::Int64 | Storage::Uint64, Value::Bytes(length)) => {
                self.wire.count_numbers(length)
            }
            (Storage::Float, Value::Fixed32)
            | (Storage::Double, Value::Fixed64)
            | (Storage::Int32 | Storage::Int64 | Storage::Uint64, Value::Number(_)) => Ok(1),
            _ => Err(Problem::OtherKind),
        }
    }

    /// The operator set of a node.
    fn domain(&mut self, length: u64) -> Result<(), Problem> {
        let mut room = [0; DOMAIN];
        let filled = self.wire.text(length, &mut room)?;
        match &room[..filled] {
            b"" | b"ai.onnx" => Ok(()),
            other => Err(Problem::Domain { domain: other.escape_ascii().to_string() }),
        }
    }

    fn pass(&mut self, length: u64) -> Result<(), Problem> {
        self.wire.skip(length, self.wire.at() + length)
    }

    fn here(&self, problem: Problem) -> Fault {
        problem.at(self.wire.at())
    }
}
