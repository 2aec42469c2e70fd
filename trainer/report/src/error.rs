//! Why there is no report.

/// Why there is no report.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The page could not be filled in: a fault of the template, whatever the data.
    #[error("report.html could not be rendered: {0}")]
    Template(#[from] minijinja::Error),
    /// An image could not be shrunk.
    #[error("image {caption}: {reason}; leave it out of the report or give it as RGB bytes with its size")]
    Image {
        /// What the image was to be called.
        caption: String,
        /// What is wrong with it.
        reason: String,
    },
}
