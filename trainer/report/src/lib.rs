//! The run report: one HTML file with everything inside, no network and no script, light and dark, screen and paper.
//!
//! [`ReportData`] is plain data; [`render`] depends on nothing else, so the same run gives the same bytes.

mod chart;
mod check;
mod classification;
mod data;
mod detection;
mod error;
mod figure;
mod matrix;
mod mistakes;
mod study;
pub mod tensorboard;
mod thumbnail;
mod view;

use minijinja::syntax::SyntaxConfig;
use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};

pub use check::{CheckPage, render_check};
pub use data::{
    Bin, ClassColour, ClassCount, ClassificationSection, Comparison, ConfusedPair, Cutout, DatasetSummary,
    DetectionSection, EpochRecord, ExportSummary, Fact, ImageCard, MaskPair, ObjectStatistics, PartObjects,
    RejectedRow, ReportData, Said, Setting,
};
pub use error::ReportError;
pub use mistakes::{
    Confusion, LabelDoubt, Suspect, doubted_labels, most_confused, suspected_label_errors, worst_mistakes,
};
pub use study::{Searched, StudyPage, StudyTrial, render_study};
pub use thumbnail::Thumbnail;

/// The page's colours of what is wrong and of what is right, for what is drawn on images; those of style.css in its light form.
pub const WRONG: [u8; 3] = [194, 70, 15];
/// See [`WRONG`].
pub const RIGHT: [u8; 3] = [31, 95, 191];

/// The report as one HTML document. Parts without data (no validation set, no export, no mistakes) are left out or say
/// so; every text of the data is escaped.
///
/// # Errors
/// [`ReportError::Template`]; no data causes it.
pub fn render(data: &ReportData) -> Result<String, ReportError> {
    let mut environment = environment()?;
    view::add_filters(&mut environment);
    environment.add_template("classification", include_str!("classification.html"))?;
    environment.add_template("detection", include_str!("detection.html"))?;
    environment.add_template("objects", include_str!("objects.html"))?;
    environment.add_template("page", include_str!("page.html"))?;
    Ok(environment.get_template("page")?.render(Serde(view::View::new(data)))?)
}

/// What every page has: texts are escaped, a missing value is an error, and the style.
fn environment() -> Result<Environment<'static>, ReportError> {
    let mut environment = Environment::new();
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build()?);
    environment.add_template("style", include_str!("style.css"))?;
    Ok(environment)
}

#[cfg(test)]
mod detection_tests;
#[cfg(test)]
mod tests;
