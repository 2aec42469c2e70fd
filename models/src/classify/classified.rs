//! What a classifier makes of images.

/// What a classifier makes of images.
pub struct Classified<T> {
    /// The penultimate layer, `float [N, width]`: what the last layer sees, before dropout.
    pub features: T,
    /// `float [N, classes]`.
    pub logits: T,
}
