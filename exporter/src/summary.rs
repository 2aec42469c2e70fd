//! What an export reports.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use schemas::Task;
use serde::Serialize;

use crate::dump;
use crate::graph::{Graph, ValueInfo};
use crate::proto::{IR_VERSION, OPSET, dtype_name};
use crate::verify::Check;

/// An input or output of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Port {
    /// Name.
    pub name: String,
    /// Element type as NumPy spells it.
    pub dtype: &'static str,
    /// Dimensions: numbers, or names of what the caller chooses.
    pub shape: Vec<String>,
    /// Whether an input has a default, which the caller may override.
    pub optional: bool,
}

impl Port {
    fn new(info: &ValueInfo, optional: bool) -> Self {
        let shape = info.dims.iter().map(dump::dim).collect();
        Self { name: info.name.to_string(), dtype: dtype_name(info.dtype), shape, optional }
    }
}

/// What is in the graph, before anything is known of the file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GraphFacts {
    /// Version of the operator set.
    pub opset: i64,
    /// Version of the file format.
    pub ir_version: i64,
    /// Inputs.
    pub inputs: Vec<Port>,
    /// Outputs.
    pub outputs: Vec<Port>,
    /// Number of nodes.
    pub total_nodes: usize,
    /// Number of nodes of each operator.
    pub nodes: BTreeMap<&'static str, usize>,
    /// Number of parameter values, running statistics included.
    pub parameters: i64,
}

impl From<&Graph> for GraphFacts {
    fn from(graph: &Graph) -> Self {
        let mut nodes = BTreeMap::new();
        count(graph, &mut nodes);
        Self {
            opset: OPSET,
            ir_version: IR_VERSION,
            inputs: graph.inputs.iter().map(|input| Port::new(input, graph.is_optional(input))).collect(),
            outputs: graph.outputs.iter().map(|output| Port::new(output, false)).collect(),
            total_nodes: nodes.values().sum(),
            nodes,
            parameters: graph.parameters(),
        }
    }
}

/// Counts nodes by operator, those in bodies of loops included.
fn count(graph: &Graph, nodes: &mut BTreeMap<&'static str, usize>) {
    for node in &graph.nodes {
        *nodes.entry(node.op).or_insert(0) += 1;
        node.bodies().for_each(|body| count(body, nodes));
    }
}

/// What was exported.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ExportSummary {
    /// The file.
    pub output: PathBuf,
    /// The weights it was made from.
    pub checkpoint: PathBuf,
    /// `whole` or `prepared`.
    pub form: &'static str,
    /// Name in the model registry.
    pub model_name: String,
    /// What the model answers.
    pub task: Task,
    /// Number of classes.
    pub classes: usize,
    /// Size of the file.
    pub bytes: u64,
    /// SHA-256 of the file, lower-case hexadecimal.
    pub sha256: String,
    /// The graph.
    #[serde(flatten)]
    pub graph: GraphFacts,
    /// Comparisons that passed; empty when the caller asked for none.
    pub checks: Vec<Check>,
}

impl fmt::Display for ExportSummary {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let g = &self.graph;
        writeln!(f, "{}", self.output.display())?;
        writeln!(f, "  from        {}", self.checkpoint.display())?;
        writeln!(f, "  model       {}, {} classes, form {}", self.model_name, self.classes, self.form)?;
        for (kind, ports) in [("input", &g.inputs), ("output", &g.outputs)] {
            for port in ports {
                let optional = if port.optional { ", optional" } else { "" };
                writeln!(f, "  {kind:<11} {}: {} [{}]{optional}", port.name, port.dtype, port.shape.join(", "))?;
            }
        }
        let nodes: Vec<String> = g.nodes.iter().map(|(op, n)| format!("{op} {n}")).collect();
        writeln!(f, "  nodes       {}: {}", g.total_nodes, nodes.join(", "))?;
        writeln!(f, "  parameters  {}", g.parameters)?;
        #[expect(clippy::cast_precision_loss, reason = "shown with one decimal")]
        let mib = self.bytes as f64 / f64::from(1 << 20);
        writeln!(f, "  size        {mib:.1} MiB, opset {}, IR version {}", g.opset, g.ir_version)?;
        writeln!(f, "  sha256      {}", self.sha256)?;
        if self.checks.is_empty() {
            writeln!(f, "  verified    no")?;
        }
        for c in &self.checks {
            let (name, batch, images) = (&c.name, c.batch, c.images);
            let (found, limit) = (c.largest_difference, c.limit);
            write!(
                f,
                "  verified    {name}, batch {batch}: {images} images, largest difference {found:.0e} (limit {limit:.0e})"
            )?;
            if let Some(b) = &c.boxes {
                let (found, limit) = (b.largest_difference, b.limit);
                write!(f, "; {} boxes, within {found:.0e} pixels (limit {limit:.0e})", b.compared)?;
                if b.excused > 0 {
                    write!(f, ", {} excused", b.excused)?;
                }
            }
            if c.labels_differ > 0 {
                write!(f, ", {} near ties answered differently", c.labels_differ)?;
            }
            writeln!(f)?;
        }
        Ok(())
    }
}
