//! Decisions that a network took on its way: where a result jumps when its input moves a little. The verification of exports
//! compares what lies between them (`exporter::verify`).

use std::cell::RefCell;

use exporter::graph::DecisionKind;
use tch::Tensor;

/// One decision; what its inputs and outputs are, [`DecisionKind`] says.
pub struct Decision {
    /// What was decided.
    pub kind: DecisionKind,
    /// What it was decided by, float.
    pub inputs: Vec<Tensor>,
    /// Numbers of the rule: of suppression the overlap and the score that it starts from, of a comparison the limit.
    pub limits: Vec<f32>,
    /// What was decided.
    pub outputs: Vec<Tensor>,
}

/// Decisions in the order in which they were taken.
#[derive(Default)]
pub struct Decisions(RefCell<Vec<Decision>>);

impl Decisions {
    pub(super) fn push(&self, decision: Decision) {
        self.0.borrow_mut().push(decision);
    }

    /// The decisions.
    #[must_use]
    pub fn into_vec(self) -> Vec<Decision> {
        self.0.into_inner()
    }
}
