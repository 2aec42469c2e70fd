//! The Builder interpreter: a definition written over [`models::ops::Ops`] becomes ONNX nodes. This file holds the state
//! and the bookkeeping; the operations are in [`crate::emit`].

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::rc::Rc;

use models::ops::DType;
use schemas::{Coded, ErrorCode};

use crate::graph::{
    Attribute, Decision, DecisionKind, Dim, Graph, GraphError, Initializer, Name, Node, Port, ValueInfo,
};
use crate::source::{ParamError, ParamSource};

/// Length of one dimension, `None` where only a run decides it.
pub type Length = Option<i64>;

/// A value in the graph under construction.
#[derive(Clone, Debug)]
pub struct Value {
    pub(crate) name: Name,
    pub(crate) dtype: DType,
    pub(crate) dims: Rc<[Length]>,
}

impl Value {
    /// Name in the graph.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Element type.
    #[must_use]
    pub fn dtype(&self) -> DType {
        self.dtype
    }

    /// What is known of the dimensions.
    #[must_use]
    pub fn dims(&self) -> &[Length] {
        &self.dims
    }
}

/// Why a definition did not become a graph.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// An operation was given what it does not take.
    #[error("{op} at {place:?}: {problem}")]
    Misuse {
        /// Operation.
        op: &'static str,
        /// Where in the state dict the definition was.
        place: String,
        /// What does not fit.
        problem: String,
    },
    /// A parameter could not be had.
    #[error(transparent)]
    Parameter(#[from] ParamError),
    /// The graph as a whole is wrong.
    #[error(transparent)]
    Graph(#[from] GraphError),
}

impl Coded for BuildError {
    fn code(&self) -> ErrorCode {
        match self {
            Self::Parameter(_) => ErrorCode::InvalidCheckpoint,
            Self::Misuse { .. } | Self::Graph(_) => ErrorCode::Internal,
        }
    }
}

/// Interpreter that emits ONNX. The first error is kept until [`Builder::finish`]; operations after it give values that
/// nobody will see.
pub struct Builder<'s> {
    source: &'s dyn ParamSource,
    state: RefCell<State>,
}

type Constants = BTreeMap<(i32, Vec<i64>, Vec<u8>), Value>;

#[derive(Default)]
struct State {
    graph: Graph,
    names: BTreeSet<Name>,
    parameters: BTreeMap<String, Value>,
    constants: Constants,
    place: String,
    error: Option<BuildError>,
}

/// What waits while the body of a loop is built. Names stay: they are unique across a graph and its bodies.
struct Outside {
    graph: Graph,
    parameters: BTreeMap<String, Value>,
    constants: Constants,
}

impl State {
    /// `wanted`, or `wanted_1`, `wanted_2`, ... when it is taken.
    fn unique(&mut self, wanted: &str) -> Name {
        let mut name: Name = wanted.into();
        let mut n = 0_u64;
        while !self.names.insert(name.clone()) {
            n += 1;
            name = format!("{wanted}_{n}").into();
        }
        name
    }

    /// Begins an empty graph; gives what it replaces.
    fn enter(&mut self) -> Outside {
        Outside {
            graph: mem::take(&mut self.graph),
            parameters: mem::take(&mut self.parameters),
            constants: mem::take(&mut self.constants),
        }
    }

    /// Goes on where [`Self::enter`] was called; gives the graph that was begun there.
    fn leave(&mut self, outside: Outside) -> Graph {
        let Outside { graph, parameters, constants } = outside;
        (self.parameters, self.constants) = (parameters, constants);
        mem::replace(&mut self.graph, graph)
    }

    fn initializer(&mut self, init: Initializer) -> Value {
        let dims = init.dims.iter().map(|&d| Some(d)).collect();
        let value = Value { name: init.name.clone(), dtype: init.dtype, dims };
        self.graph.initializers.push(init);
        value
    }
}

/// What to emit: an operator, its inputs, and what is known of its first output.
pub(crate) struct Emit<'a> {
    pub op: &'static str,
    pub inputs: &'a [Option<&'a Value>],
    pub attributes: Vec<(&'static str, Attribute)>,
    pub dtype: DType,
    pub dims: Vec<Length>,
}

impl<'s> Builder<'s> {
    /// An empty graph whose parameters come from `source`.
    #[must_use]
    pub fn new(source: &'s dyn ParamSource) -> Self {
        Self { source, state: RefCell::default() }
    }

    /// A graph input.
    pub fn input(&self, name: &str, dtype: DType, dims: &[Dim], doc: &str) -> Value {
        let mut state = self.state.borrow_mut();
        let name = state.unique(name);
        let info = ValueInfo { name: name.clone(), dtype, dims: dims.to_vec(), doc: doc.to_owned() };
        state.graph.inputs.push(info);
        Value { name, dtype, dims: dims.iter().map(Dim::known).collect() }
    }

    /// A graph input of one float that need not be given: its default is `value`. ONNX: an initialiser that is also listed
    /// among the inputs; optimizers must not treat it as a constant.
    pub fn optional_input(&self, name: &str, value: f32, doc: &str) -> Value {
        let input = self.input(name, DType::F32, &[Dim::Fixed(1)], doc);
        self.state.borrow_mut().initializer(Initializer {
            name: input.name,
            dtype: DType::F32,
            dims: vec![1],
            data: value.to_le_bytes().to_vec(),
            parameter: false,
        })
    }

    /// Makes `value` the next output of the graph, under this name.
    pub fn output(&self, value: &Value, name: &str, dims: &[Dim], doc: &str) {
        let own = {
            let state = self.state.borrow();
            state.graph.nodes.iter().any(|n| n.outputs.contains(&value.name))
                && state.graph.outputs.iter().all(|o| o.name != value.name)
        };
        // A graph input or an initialiser keeps its name, and one value has one name as an output.
        let value = if own { value.clone() } else { self.same_as("Identity", &[Some(value)], vec![], value) };
        let mut state = self.state.borrow_mut();
        let name = state.unique(name);
        state.graph.rename(&value.name, &name);
        let info = ValueInfo { name, dtype: value.dtype, dims: dims.to_vec(), doc: doc.to_owned() };
        state.graph.outputs.push(info);
    }

    /// Notes that `outputs` are decided by `inputs` here.
    pub(crate) fn decide(&self, kind: DecisionKind, inputs: &[&Value], outputs: &[&Value]) {
        let port = |v: &&Value| Port { name: v.name.clone(), dtype: v.dtype, rank: v.dims.len() };
        let ports = |values: &[&Value]| values.iter().map(port).collect();
        let decision = Decision { kind, inputs: ports(inputs), outputs: ports(outputs) };
        self.state.borrow_mut().graph.decisions.push(decision);
    }

    /// Nodes from here on are named after `place`, until a parameter of another place is asked for.
    pub fn at(&self, place: &str) {
        place.clone_into(&mut self.state.borrow_mut().place);
    }

    /// The graph, without what no output depends on.
    ///
    /// # Errors
    /// The first error that any operation met, or that the whole graph has.
    pub fn finish(self) -> Result<Graph, BuildError> {
        let State { mut graph, error, .. } = self.state.into_inner();
        if let Some(error) = error {
            return Err(error);
        }
        graph.prune();
        graph.check()?;
        Ok(graph)
    }

    /// Whether an error has been met.
    pub fn failed(&self) -> bool {
        self.state.borrow().error.is_some()
    }

    /// Keeps the first error and gives a scalar in place of a result.
    fn fail(&self, error: BuildError) -> Value {
        self.state.borrow_mut().error.get_or_insert(error);
        Value { name: "".into(), dtype: DType::F32, dims: Rc::new([]) }
    }

    pub(crate) fn misuse(&self, op: &'static str, problem: String) -> Value {
        let place = self.state.borrow().place.clone();
        self.fail(BuildError::Misuse { op, place, problem })
    }

    /// The parameter under `key`; an initialiser of that name from its first use on. A parameter that is `kept` only for
    /// other readers of the state dict is neither looked up nor written.
    pub(crate) fn parameter(&self, key: &str, shape: &[i64], kept: bool) -> Value {
        let known = self.state.borrow().parameters.get(key).cloned();
        let value = match known {
            Some(value) if value.dims.iter().copied().eq(shape.iter().map(|&d| Some(d))) => value,
            Some(value) => {
                return self.misuse("param", format!("{key:?} asked for as {:?} and as {shape:?}", value.dims));
            }
            None => match self.load(key, shape, kept) {
                Ok(value) => value,
                Err(error) => return self.fail(error.into()),
            },
        };
        self.at(parent(key));
        value
    }

    fn load(&self, key: &str, shape: &[i64], kept: bool) -> Result<Value, ParamError> {
        if kept {
            let name = self.state.borrow_mut().unique(key);
            return Ok(Value { name, dtype: DType::I64, dims: shape.iter().map(|&d| Some(d)).collect() });
        }
        let data = self.source.parameter(key, shape)?;
        let mut state = self.state.borrow_mut();
        let name = state.unique(key);
        let value =
            state.initializer(Initializer { name, dtype: DType::F32, dims: shape.to_vec(), data, parameter: true });
        state.parameters.insert(key.to_owned(), value.clone());
        Ok(value)
    }

    /// A constant; equal constants are one initialiser. `data` is row-major, little-endian. `text` names it.
    pub(crate) fn tensor(&self, dtype: DType, shape: &[i64], data: Vec<u8>, text: Option<String>) -> Value {
        let mut state = self.state.borrow_mut();
        let identity = (crate::proto::dtype_code(dtype), shape.to_vec(), data);
        if let Some(value) = state.constants.get(&identity) {
            return value.clone();
        }
        let wanted = format!("constant/{}", text.unwrap_or_else(|| state.place.clone()));
        let name = state.unique(&wanted);
        let data = identity.2.clone();
        let value = state.initializer(Initializer { name, dtype, dims: shape.to_vec(), data, parameter: false });
        state.constants.insert(identity, value.clone());
        value
    }

    /// An int64 vector; a constant that shape arithmetic needs.
    pub(crate) fn ints(&self, values: &[i64]) -> Value {
        let data = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        let text = values.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let length = i64::try_from(values.len()).expect("a literal list is short");
        self.tensor(DType::I64, &[length], data, Some(text))
    }

    /// ONNX `Scan`: runs `body` on each row of `over`, I64 `[S, ..]`, one after the other, and stacks what it yields, name
    /// and shape given, along a new first axis. The body has its own parameters and constants; a parameter that is also
    /// asked for outside is in the file twice. It may read any value made before.
    pub fn scan(&self, over: &Value, body: impl FnOnce(&Value) -> Vec<(Value, &'static str, Vec<Dim>)>) -> Vec<Value> {
        let row: Option<Vec<Dim>> = over.dims.iter().skip(1).map(|&d| d.map(Dim::Fixed)).collect();
        let Some(row) = row else {
            return vec![self.misuse("Scan", format!("rows of {:?}", over.dims))];
        };
        let outside = self.state.borrow_mut().enter();
        let results = body(&self.input("row", over.dtype, &row, ""));
        for (value, name, dims) in &results {
            self.output(value, name, dims, "");
        }
        let mut graph = self.state.borrow_mut().leave(outside);
        graph.prune();
        let attributes = vec![("body", Attribute::Graph(Box::new(graph))), ("num_scan_inputs", Attribute::Int(1))];
        // The types and shapes of several outputs differ; those of the node are never looked at.
        let e = Emit { op: "Scan", inputs: &[Some(over)], attributes, dtype: over.dtype, dims: vec![] };
        let names = self.append(&e, results.len());
        let stacked = |(name, (value, _, dims)): (Name, (Value, &str, Vec<Dim>))| {
            let dims = over.dims.iter().take(1).copied().chain(dims.iter().map(Dim::known)).collect();
            Value { name, dtype: value.dtype, dims }
        };
        names.into_iter().zip(results).map(stacked).collect()
    }

    /// Appends a node with one output, named after the place.
    pub(crate) fn emit(&self, e: Emit) -> Value {
        let (name, dtype, dims) = (self.append(&e, 1)[0].clone(), e.dtype, e.dims.into());
        Value { name, dtype, dims }
    }

    /// Appends a node with two outputs of one shape, of which the second has element type `second`.
    pub(crate) fn emit_pair(&self, e: Emit, second: DType) -> (Value, Value) {
        let names = self.append(&e, 2);
        let dims: Rc<[Length]> = e.dims.into();
        let first = Value { name: names[0].clone(), dtype: e.dtype, dims: dims.clone() };
        (first, Value { name: names[1].clone(), dtype: second, dims })
    }

    /// Appends a node with this many outputs of one type and shape.
    pub(crate) fn emit_alike(&self, e: Emit, count: usize) -> Vec<Value> {
        let names = self.append(&e, count);
        let dims: Rc<[Length]> = e.dims.into();
        names.into_iter().map(|name| Value { name, dtype: e.dtype, dims: dims.clone() }).collect()
    }

    /// Appends a node and gives the names of its outputs; the first is the node's own.
    fn append(&self, e: &Emit, count: usize) -> Vec<Name> {
        let mut state = self.state.borrow_mut();
        let wanted = if state.place.is_empty() { e.op.to_owned() } else { format!("{}/{}", state.place, e.op) };
        let name = state.unique(&wanted);
        let inputs = e.inputs.iter().map(|i| i.map_or_else(|| "".into(), |v| v.name.clone())).collect();
        let mut outputs = vec![name.clone()];
        for place in 2..=count {
            let word =
                ["second", "third", "fourth"].get(place - 2).map_or_else(|| place.to_string(), ToString::to_string);
            outputs.push(state.unique(&format!("{name}/{word}")));
        }
        let (op, attributes) = (e.op, e.attributes.clone());
        state.graph.nodes.push(Node { name, op, inputs, outputs: outputs.clone(), attributes });
        outputs
    }

    /// A node whose output has the type and shape of `like`.
    pub(crate) fn same_as(
        &self,
        op: &'static str,
        inputs: &[Option<&Value>],
        attributes: Vec<(&'static str, Attribute)>,
        like: &Value,
    ) -> Value {
        self.emit(Emit { op, inputs, attributes, dtype: like.dtype, dims: like.dims.to_vec() })
    }

    /// Names the next nodes after the scope that owns `parameter`.
    pub(crate) fn at_owner(&self, parameter: &Value) {
        let known = self.state.borrow().parameters.contains_key(parameter.name());
        if known {
            self.at(parent(parameter.name()));
        }
    }
}

/// The scope of a key: what is before its last dot.
fn parent(key: &str) -> &str {
    key.rsplit_once('.').map_or("", |(scope, _)| scope)
}
