//! What is compared with a recording, and how a part of its graph is run by itself.

use models::weights::CheckpointFile;
use runtime::{Form, Options, Probe};

use super::error::VerifyError;
use crate::graph::Graph;
use crate::proto::{self, Header};

/// A file that has been written under a temporary name.
pub struct Subject<'a> {
    /// What it was made from.
    pub checkpoint: &'a CheckpointFile,
    /// Its graph.
    pub graph: &'a Graph,
    /// Its form.
    pub form: Form,
    /// Where and how ONNX Runtime is run.
    pub options: &'a Options,
}

/// Opens a graph that is no file.
pub(super) fn open(graph: Graph, options: &Options, check: &str) -> Result<Probe, VerifyError> {
    let refuse = |problem: String| VerifyError::Run { check: check.to_owned(), image: 0, problem };
    let header = Header { graph: "probe", doc: "", metadata: &[] };
    let bytes = proto::bytes(graph, &header).map_err(|error| refuse(error.to_string()))?;
    Probe::open(&bytes, options).map_err(|error| refuse(error.to_string()))
}
