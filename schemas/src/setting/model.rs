//! What settings mean to one model. The registry knows it and hands it in; no model has a name here.

use super::table::Settings;

/// Defaults and limits that a model brings to the settings of its runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ModelSettings {
    /// Its defaults in the task of the run.
    pub defaults: Settings,
    /// Settings that it does not have.
    pub foreign: &'static [Foreign],
    /// Sizes in pixels that it takes, whatever is asked for.
    pub fixed: &'static [(&'static str, u32)],
    /// Whether it sees images of one size, so that the training crop follows the validation crop.
    pub one_size: bool,
}

/// Settings that other models have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Foreign {
    /// Their names.
    pub names: &'static [&'static str],
    /// Who has them, with its verb: `yolov5 has`.
    pub owner: &'static str,
}
