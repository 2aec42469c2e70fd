//! Probes: a graph cut open at its decisions, so that its values can be compared with recorded ones.
//!
//! A decision ([`DecisionKind`]) turns a difference in the last digit into another result: which of two boxes is kept, which
//! way a pixel is rounded. Behind it two correct networks may look quite different. A probe is the same graph in which
//! whatever follows a decision reads a *given* result, an input of the probe, while what the graph decides itself, and what it
//! decides it by, are outputs. With the recorded results given, all values are continuous functions of the same input.

use std::collections::BTreeSet;

use crate::graph::{DecisionKind, Dim, Graph, Name, Node, Port, ValueInfo};

/// What the graph decides by: input `j` of decision `k`.
#[must_use]
pub fn seen(k: usize, j: usize) -> String {
    format!("probe/seen/{k}/{j}")
}

/// What the graph decides itself: output `j` of decision `k`.
#[must_use]
pub fn own(k: usize, j: usize) -> String {
    format!("probe/own/{k}/{j}")
}

/// The result that is given in its place.
#[must_use]
pub fn given(k: usize, j: usize) -> String {
    format!("probe/given/{k}/{j}")
}

/// Names of the given, and of the graph's own, places of tiles.
pub const PLACES: [&str; 2] = ["probe/given/places", "probe/own/places"];

/// Name of the pixels that [`prepared`] gives: U8 `[N, h, w, 3]`.
pub const PREPARED: &str = "probe/prepared";

/// What was found in one tile: output `j` of [`DecisionKind::Found`], with a new first axis of one tile.
#[must_use]
pub fn found(j: usize) -> String {
    format!("probe/found/{j}")
}

/// A graph cut open.
#[derive(Clone, Debug)]
pub struct Probe {
    /// The graph; it needs no metadata.
    pub graph: Graph,
    /// The decisions of the network in their order: `k` counts them.
    pub decisions: Vec<DecisionKind>,
    /// The inputs `given(k, j)`.
    pub given: BTreeSet<(usize, usize)>,
    /// Whether the network lies in a loop over tiles. The probe then looks at one tile, whose place is given, and gives
    /// [`found`] in place of the outputs of the graph.
    pub tiled: bool,
}

/// The graph cut open at every decision of its network.
#[must_use]
pub fn network(graph: &Graph) -> Probe {
    let mut graph = found_only(graph);
    let tiled = graph.decisions.iter().any(|d| d.kind == DecisionKind::Found);
    if !tiled {
        let opened = open(&mut graph, "");
        graph.inputs.extend(opened.inputs);
        graph.outputs.extend(opened.shown);
        return Probe::new(graph, opened.decisions, opened.given, false);
    }
    graph.outputs.clear();
    let (mut decisions, mut given) = (Vec::new(), BTreeSet::new());
    if let Some(place) = graph.nodes.iter().position(|node| node.op == "Scan") {
        let mut opened = Opened::default();
        for body in graph.nodes[place].bodies_mut() {
            opened = open(body, INSIDE);
            body.outputs.extend(opened.shown.iter().cloned());
        }
        // What a body yields, the loop stacks under a name of its own.
        for info in opened.shown {
            let name: Name = info.name.trim_end_matches(INSIDE).into();
            graph.nodes[place].outputs.push(name.clone());
            let dims = vec![Dim::Any; info.dims.len() + 1];
            graph.outputs.push(ValueInfo { name, dims, ..info });
        }
        graph.inputs.extend(opened.inputs);
        (decisions, given) = (opened.decisions, opened.given);
    }
    for decision in graph.decisions.clone() {
        match decision.kind {
            DecisionKind::Places => {
                let port = &decision.outputs[0];
                cut(&mut graph, port, PLACES);
                graph.outputs.push(info(PLACES[1], port));
            }
            DecisionKind::Found => {
                for (j, port) in decision.outputs.iter().enumerate() {
                    show(&mut graph, port, &found(j));
                    graph.outputs.push(info(&found(j), port));
                }
            }
            // Of the merge, which has its own probe.
            DecisionKind::Pixels | DecisionKind::Nms | DecisionKind::TopK | DecisionKind::AtLeast => {}
        }
    }
    Probe::new(graph, decisions, given, true)
}

/// The merge alone: places and what was found in each tile are given, under the names [`PLACES`] and [`found`]; `None` where
/// nothing is tiled.
#[must_use]
pub fn merge(graph: &Graph) -> Option<Graph> {
    let mut graph = found_only(graph);
    graph.decisions.iter().find(|d| d.kind == DecisionKind::Found)?;
    for decision in graph.decisions.clone() {
        match decision.kind {
            DecisionKind::Places => cut(&mut graph, &decision.outputs[0], PLACES),
            DecisionKind::Found => {
                for (j, port) in decision.outputs.iter().enumerate() {
                    let own = format!("{}/unread", found(j));
                    cut(&mut graph, port, [&found(j), &own]);
                }
            }
            DecisionKind::Pixels | DecisionKind::Nms | DecisionKind::TopK | DecisionKind::AtLeast => {}
        }
    }
    Some(read_only(graph))
}

/// The pixels that the network of a file is given, made of whole images that are not cut into tiles; `None` where there is no such
/// step, because the caller prepares images or each tile is made in a loop. Output: [`PREPARED`].
#[must_use]
pub fn prepared(graph: &Graph) -> Option<Graph> {
    let mut graph = graph.clone();
    let port = graph.decisions.iter().find(|d| d.kind == DecisionKind::Pixels)?.outputs.first()?.clone();
    show(&mut graph, &port, PREPARED);
    graph.outputs = vec![info(PREPARED, &port)];
    Some(read_only(graph))
}

/// The graph without what none of its outputs needs.
fn read_only(mut graph: Graph) -> Graph {
    graph.prune();
    let mut read = BTreeSet::new();
    graph.reads(&mut read);
    graph.inputs.retain(|input| read.contains(&input.name));
    graph.initializers.retain(|initializer| read.contains(&initializer.name));
    graph
}

/// The graph without the pixels that are pasted of what it finds; they are compared by themselves.
fn found_only(graph: &Graph) -> Graph {
    let mut graph = graph.clone();
    graph.outputs.retain(|output| *output.name != *runtime::PIXELS);
    graph
}

impl Probe {
    fn new(mut graph: Graph, decisions: Vec<DecisionKind>, given: BTreeSet<(usize, usize)>, tiled: bool) -> Self {
        graph.prune();
        Self { graph, decisions, given, tiled }
    }
}

/// Ends the names of values in the body of a loop.
const INSIDE: &str = "/inside";

/// What [`open`] made of a graph.
#[derive(Default)]
struct Opened {
    decisions: Vec<DecisionKind>,
    given: BTreeSet<(usize, usize)>,
    /// Inputs to be declared: of the graph itself, or of the one around it.
    inputs: Vec<ValueInfo>,
    /// Outputs to be declared.
    shown: Vec<ValueInfo>,
}

/// Cuts a graph at each of its decisions; names of what it shows end with `ending`.
fn open(graph: &mut Graph, ending: &str) -> Opened {
    let mut opened = Opened::default();
    for (k, decision) in graph.decisions.clone().into_iter().enumerate() {
        opened.decisions.push(decision.kind);
        for (j, port) in decision.outputs.iter().enumerate() {
            if !graph.nodes.iter().any(|node| node.outputs.contains(&port.name)) {
                continue;
            }
            let (given, own) = (given(k, j), format!("{}{ending}", own(k, j)));
            take_over(graph, port, [&given, &own]);
            opened.given.insert((k, j));
            opened.inputs.push(info(&given, port));
            opened.shown.push(info(&own, port));
        }
        for (j, port) in decision.inputs.iter().enumerate() {
            let name = format!("{}{ending}", seen(k, j));
            show(graph, port, &name);
            opened.shown.push(info(&name, port));
        }
    }
    opened
}

/// As [`take_over`], with the given value declared as an input.
fn cut(graph: &mut Graph, port: &Port, names: [&str; 2]) {
    take_over(graph, port, names);
    graph.inputs.push(info(names[0], port));
}

/// Readers of the value read the one called `given` from now on; the value itself is called `own`.
fn take_over(graph: &mut Graph, port: &Port, [given, own]: [&str; 2]) {
    for node in &mut graph.nodes {
        node.outputs.iter_mut().filter(|name| **name == port.name).for_each(|name| *name = own.into());
    }
    graph.nodes.insert(0, identity(given, &port.name));
}

/// Makes the value available under another name.
fn show(graph: &mut Graph, port: &Port, name: &str) {
    graph.nodes.push(identity(&port.name, name));
}

fn identity(from: &str, to: &str) -> Node {
    Node {
        name: format!("{to}/Identity").into(),
        op: "Identity",
        inputs: vec![from.into()],
        outputs: vec![to.into()],
        attributes: vec![],
    }
}

fn info(name: &str, port: &Port) -> ValueInfo {
    ValueInfo { name: name.into(), dtype: port.dtype, dims: vec![Dim::Any; port.rank], doc: String::new() }
}
