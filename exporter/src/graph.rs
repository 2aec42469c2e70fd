//! The graph between a definition and the file: what passes rewrite and what [`crate::proto`] writes. Everything is kept in
//! the order of its creation, which is topological, so that the same definition always gives the same bytes.

use std::collections::BTreeSet;
use std::rc::Rc;

use models::ops::DType;

/// Name of a value: a graph input, an initialiser or a node's output. Names are unique in a graph.
pub type Name = Rc<str>;

/// One dimension of an input or output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Dim {
    /// This many elements.
    Fixed(i64),
    /// Any number of elements; dimensions of one name are equal.
    Named(&'static str),
    /// Any number of elements.
    Any,
}

impl Dim {
    /// The length, if it is fixed.
    #[must_use]
    pub fn known(&self) -> Option<i64> {
        match self {
            Self::Fixed(n) => Some(*n),
            Self::Named(_) | Self::Any => None,
        }
    }
}

/// An input or output of the graph.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ValueInfo {
    /// Name.
    pub name: Name,
    /// Element type.
    pub dtype: DType,
    /// Dimensions.
    pub dims: Vec<Dim>,
    /// What the value is, for people.
    pub doc: String,
}

/// Attribute of a node.
#[derive(Clone, Debug, PartialEq)]
pub enum Attribute {
    /// Integer.
    Int(i64),
    /// Float.
    Float(f32),
    /// List of integers.
    Ints(Vec<i64>),
    /// Text.
    Text(&'static str),
    /// The body of a loop. It may read what the graph around it has made before the node.
    Graph(Box<Graph>),
}

/// One operation.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// Readable and unique: the place in the state dict, then the operation.
    pub name: Name,
    /// ONNX operator.
    pub op: &'static str,
    /// Names of the inputs; an empty name is an optional input left out.
    pub inputs: Vec<Name>,
    /// Names of the outputs.
    pub outputs: Vec<Name>,
    /// Attributes in the order they are written.
    pub attributes: Vec<(&'static str, Attribute)>,
}

/// A constant tensor.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Initializer {
    /// Name; for a parameter its key in the state dict.
    pub name: Name,
    /// Element type.
    pub dtype: DType,
    /// Dimensions; empty for a scalar.
    pub dims: Vec<i64>,
    /// Elements, row-major, little-endian.
    pub data: Vec<u8>,
    /// Whether it is a parameter of the network (as opposed to a constant of the definition).
    pub parameter: bool,
}

impl Initializer {
    /// Number of elements.
    #[must_use]
    pub fn numel(&self) -> i64 {
        self.dims.iter().product()
    }
}

/// A kind of operation whose result jumps where its input moves a little. Between decisions a network is continuous, so its
/// values can be compared within tight limits; of a decision itself one can check that it follows its rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecisionKind {
    /// Pixels are rounded. No inputs; output: U8 `[N, h, w, 3]`.
    Pixels,
    /// [`models::ops::Ops::nms`]. Inputs: boxes, scores; outputs: scores, classes, rows.
    Nms,
    /// [`models::ops::Ops::topk`]. Input: values; outputs: the largest, their indices.
    TopK,
    /// [`models::ops::Ops::greater_equal`] of floats and one number. Input: the floats; output: 1 or 0.
    AtLeast,
    /// Where tiles lie. No inputs; output: I64 `[S, 4]`.
    Places,
    /// What was found in each tile, before it is merged. No inputs; outputs: boxes, scores, labels, and masks if
    /// there are any.
    Found,
}

impl DecisionKind {
    /// How many inputs and outputs it has.
    #[must_use]
    pub fn arity(self) -> (usize, usize) {
        match self {
            Self::Pixels | Self::Places => (0, 1),
            Self::Nms => (2, 3),
            Self::TopK => (1, 2),
            Self::AtLeast => (1, 1),
            Self::Found => (0, 3),
        }
    }
}

/// A value by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Port {
    /// Name.
    pub name: Name,
    /// Element type.
    pub dtype: DType,
    /// Number of axes.
    pub rank: usize,
}

/// Where the graph decides something: what [`crate::probe`] looks at. Not written to the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// What is decided.
    pub kind: DecisionKind,
    /// What it is decided by.
    pub inputs: Vec<Port>,
    /// What is decided. Outputs that nothing reads have no node.
    pub outputs: Vec<Port>,
}

/// A network as ONNX sees it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Graph {
    /// What the caller gives.
    pub inputs: Vec<ValueInfo>,
    /// What the caller gets.
    pub outputs: Vec<ValueInfo>,
    /// Operations, each after those it depends on.
    pub nodes: Vec<Node>,
    /// Parameters and constants, in the order of first use.
    pub initializers: Vec<Initializer>,
    /// Decisions in the order of the definition; those in the body of a loop are the body's.
    pub decisions: Vec<Decision>,
}

/// A graph that no runtime could run; always a bug in a definition or in a pass.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GraphError {
    /// A value is read before anything makes it.
    #[error("node {node:?} reads {value:?}, which nothing before it makes; this is a bug in the definition")]
    Undefined {
        /// Reader.
        node: String,
        /// What it reads.
        value: String,
    },
    /// Two things have one name.
    #[error("{0:?} is made twice; names in a graph are unique; this is a bug in the exporter")]
    Duplicate(String),
    /// The graph promises an output that nothing makes.
    #[error("no node makes the output {0:?}; this is a bug in the definition")]
    NoOutput(String),
}

impl Node {
    /// Graphs among the attributes.
    pub fn bodies(&self) -> impl Iterator<Item = &Graph> {
        self.attributes.iter().filter_map(|(_, attribute)| match attribute {
            Attribute::Graph(body) => Some(body.as_ref()),
            Attribute::Int(_) | Attribute::Float(_) | Attribute::Ints(_) | Attribute::Text(_) => None,
        })
    }

    /// Graphs among the attributes, to change.
    pub fn bodies_mut(&mut self) -> impl Iterator<Item = &mut Graph> {
        self.attributes.iter_mut().filter_map(|(_, attribute)| match attribute {
            Attribute::Graph(body) => Some(body.as_mut()),
            Attribute::Int(_) | Attribute::Float(_) | Attribute::Ints(_) | Attribute::Text(_) => None,
        })
    }
}

impl Graph {
    /// Drops the nodes that no output depends on, and the initialisers that no node reads. The default of an input stays:
    /// without it the caller would have to give the input.
    pub fn prune(&mut self) {
        let mut used: BTreeSet<Name> = self.outputs.iter().map(|o| o.name.clone()).collect();
        let mut kept = Vec::with_capacity(self.nodes.len());
        for node in self.nodes.drain(..).rev() {
            if node.outputs.iter().any(|o| used.contains(o)) {
                used.extend(node.inputs.iter().cloned());
                node.bodies().for_each(|body| body.reads(&mut used));
                kept.push(node);
            }
        }
        kept.reverse();
        self.nodes = kept;
        used.extend(self.inputs.iter().map(|i| i.name.clone()));
        self.initializers.retain(|i| used.contains(&i.name));
        self.decisions.retain(|d| d.outputs.iter().any(|port| used.contains(&port.name)));
    }

    /// Adds every name that the graph reads, its own included: names are unique across a graph and its bodies.
    pub(crate) fn reads(&self, into: &mut BTreeSet<Name>) {
        into.extend(self.outputs.iter().map(|o| o.name.clone()));
        for node in &self.nodes {
            into.extend(node.inputs.iter().cloned());
            node.bodies().for_each(|body| body.reads(into));
        }
    }

    /// Gives the value `from` the name `to` wherever it occurs. `to` must be unused.
    pub fn rename(&mut self, from: &Name, to: &Name) {
        for node in &mut self.nodes {
            for name in node.inputs.iter_mut().chain(&mut node.outputs) {
                if name == from {
                    *name = to.clone();
                }
            }
            node.bodies_mut().for_each(|body| body.rename(from, to));
        }
        for decision in &mut self.decisions {
            for port in decision.inputs.iter_mut().chain(&mut decision.outputs) {
                if port.name == *from {
                    port.name = to.clone();
                }
            }
        }
    }

    /// Whether the value is an input with a default: the caller may give it and need not.
    #[must_use]
    pub fn is_optional(&self, input: &ValueInfo) -> bool {
        self.initializers.iter().any(|i| i.name == input.name)
    }

    /// Checks that names are unique and that nodes are in topological order.
    ///
    /// # Errors
    /// The first violation.
    pub fn check(&self) -> Result<(), GraphError> {
        self.check_within(&BTreeSet::new())
    }

    /// As [`Self::check`], of a body that may read the values `around`.
    fn check_within(&self, around: &BTreeSet<&str>) -> Result<(), GraphError> {
        let mut known = around.clone();
        // An initialiser of an input's name is that input's default.
        let inputs: BTreeSet<&str> = self.inputs.iter().map(|i| i.name.as_ref()).collect();
        let constants = self.initializers.iter().map(|i| i.name.as_ref()).filter(|name| !inputs.contains(name));
        for name in self.inputs.iter().map(|i| i.name.as_ref()).chain(constants) {
            if !known.insert(name) {
                return Err(GraphError::Duplicate(name.to_owned()));
            }
        }
        let mut nodes: BTreeSet<&str> = BTreeSet::new();
        for node in &self.nodes {
            if let Some(value) = node.inputs.iter().find(|i| !i.is_empty() && !known.contains(i.as_ref())) {
                return Err(GraphError::Undefined { node: node.name.to_string(), value: value.to_string() });
            }
            for body in node.bodies() {
                body.check_within(&known)?;
            }
            if !nodes.insert(&node.name) {
                return Err(GraphError::Duplicate(node.name.to_string()));
            }
            for output in &node.outputs {
                if !known.insert(output) {
                    return Err(GraphError::Duplicate(output.to_string()));
                }
            }
        }
        match self.outputs.iter().find(|o| !known.contains(o.name.as_ref())) {
            Some(output) => Err(GraphError::NoOutput(output.name.to_string())),
            None => Ok(()),
        }
    }

    /// Number of parameter values, running statistics included.
    #[must_use]
    pub fn parameters(&self) -> i64 {
        let own: i64 = self.initializers.iter().filter(|i| i.parameter).map(Initializer::numel).sum();
        own + self.nodes.iter().flat_map(Node::bodies).map(Self::parameters).sum::<i64>()
    }
}
