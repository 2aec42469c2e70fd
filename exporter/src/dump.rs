//! A graph as text, one line for each thing, for snapshots and diffs.

use std::fmt::Write;

use crate::graph::{Attribute, Dim, Graph, ValueInfo};
use crate::proto::dtype_name;

/// The graph as text: inputs, initialisers (name, type, shape), nodes, outputs. Tensor data is left out.
#[must_use]
pub fn dump(graph: &Graph) -> String {
    let mut out = String::new();
    for input in &graph.inputs {
        let kind = if graph.is_optional(input) { "optional input" } else { "input" };
        line(&mut out, format_args!("{kind} {}", value(input)));
    }
    for init in &graph.initializers {
        let kind = if init.parameter { "parameter" } else { "constant" };
        line(&mut out, format_args!("{kind} {}: {}{:?}", init.name, dtype_name(init.dtype), init.dims));
    }
    for node in &graph.nodes {
        let attributes: Vec<String> = node.attributes.iter().map(|(k, v)| format!("{k}={}", attribute(v))).collect();
        let inputs: Vec<&str> = node.inputs.iter().map(|i| if i.is_empty() { "-" } else { i }).collect();
        let (outputs, inputs, attributes) = (node.outputs.join(", "), inputs.join(", "), attributes.join(" "));
        line(&mut out, format_args!("{outputs} = {}({inputs}) {attributes}", node.op));
        for text in node.bodies().map(dump) {
            text.lines().for_each(|inner| line(&mut out, format_args!("    {inner}")));
        }
    }
    for output in &graph.outputs {
        line(&mut out, format_args!("output {}", value(output)));
    }
    out
}

fn line(out: &mut String, text: std::fmt::Arguments) {
    writeln!(out, "{}", text.to_string().trim_end()).expect("writing to a String cannot fail");
}

fn value(info: &ValueInfo) -> String {
    let dims: Vec<String> = info.dims.iter().map(dim).collect();
    format!("{}: {}[{}]", info.name, dtype_name(info.dtype), dims.join(", "))
}

/// A dimension as text: its number or its name.
#[must_use]
pub fn dim(dim: &Dim) -> String {
    match dim {
        Dim::Fixed(n) => n.to_string(),
        Dim::Named(name) => (*name).to_owned(),
        Dim::Any => "?".to_owned(),
    }
}

fn attribute(value: &Attribute) -> String {
    match value {
        Attribute::Int(i) => i.to_string(),
        Attribute::Float(f) => f.to_string(),
        Attribute::Ints(ints) => format!("{ints:?}"),
        Attribute::Text(text) => (*text).to_owned(),
        Attribute::Graph(_) => "below".to_owned(),
    }
}
