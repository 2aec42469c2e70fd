//! Images as a network sees them.

/// Normalised images and how much of them is image; see [`super::Detector::predict`].
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    /// F32 `[N, 3, h, w]`.
    pub images: &'a T,
    /// F32 `[N, 2]`: height and width of the image.
    pub inner: &'a T,
}
