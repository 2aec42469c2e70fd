//! Images as a network sees them.

/// Normalised images and how much of them is image.
#[derive(Clone, Copy, Debug)]
pub struct View<'a, T> {
    /// F32 `[N, 3, h, w]`, sides multiples of 32.
    pub images: &'a T,
    /// F32 `[N, 2]`: height and width that the image occupies from the top left.
    pub inner: &'a T,
}
