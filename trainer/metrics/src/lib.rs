//! Metrics, in f64 and without libtorch, equal to the reference packages (scikit-learn for classification, pycocotools for
//! detection).
//!
//! An undefined value is `None` and is left out of the averages and of the reports' `scalars`: it is never a NaN
//! that would poison a comparison, and never a silent zero. Where scikit-learn raises, warns or returns NaN, the first
//! lines of each function say what happens here.

mod averages;
mod calibration;
mod classification;
mod counts;
mod cutoff;
pub mod detection;
mod interval;
mod ranking;
mod thresholds;
mod truths;

pub use averages::Averages;
pub use calibration::{Calibration, calibration};
pub use classification::{ClassRow, ClassificationReport, Example, Overlap, classification, examples, multiclass};
pub use counts::{ClassCounts, Prediction, predictions};
pub use cutoff::{Aim, Cutoff, Scored, cutoff};
pub use detection::{DetectionReport, detection};
pub use interval::{interval, intervals};
pub use ranking::{Step, area_under_roc, average_precision, steps};
pub use thresholds::{AccuracyTable, CalibrationBin, Counts, Sweep, accuracy_table};
pub use truths::{Decision, THRESHOLD, Truths, Verdict};
