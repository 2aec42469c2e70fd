//! One model: its name and what it is.

use crate::classify::Classifier;
use crate::detect::Detector;

/// One model.
#[derive(Clone, Copy, Debug)]
pub struct ModelSpec {
    /// Name on the command line.
    pub name: &'static str,
    /// One line for people.
    pub summary: &'static str,
    /// What it is.
    pub kind: Kind,
}

/// What a model does, and with what architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Says what an image shows.
    Classifier(Classifier),
    /// Says what is where in an image.
    Detector(Detector),
}
