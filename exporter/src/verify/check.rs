//! What a comparison that passed has found.

use serde::Serialize;

/// Result of one comparison that passed.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Check {
    /// What was compared.
    pub name: String,
    /// Images in each run.
    pub batch: usize,
    /// Recorded images compared.
    pub images: usize,
    /// Largest difference in a probability, a score or a mask, or in a feature as a share of the largest.
    pub largest_difference: f32,
    /// Largest accepted one.
    pub limit: f32,
    /// Images whose most probable class is another one. Within the limits that happens only where the two classes are
    /// as probable as each other, to within twice the limit.
    pub labels_differ: usize,
    /// Of a detector, more about its boxes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub boxes: Option<BoxCheck>,
}

/// Boxes that were compared.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct BoxCheck {
    /// How many there were.
    pub compared: usize,
    /// Decisions between them that were too close to call, see [`super::decisions`].
    pub excused: usize,
    /// Largest difference in a corner, in pixels.
    pub largest_difference: f32,
    /// Largest accepted one for an image that is not shrunk.
    pub limit: f32,
}
