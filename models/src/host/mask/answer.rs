//! A network's mask of an object -> the polygon of an answer.

use super::paste::Paste;

impl Paste {
    /// The outline of an object as answers hold it: rings `x1 y1 x2 y2 ..` as fractions of the image, around its parts and its
    /// holes, of at most `most_points` points together as far as the number of rings allows (`max_number_of_polygon_points`). Arguments
    /// are those of [`Paste::mask`]. Without a pixel there is no ring.
    ///
    /// # Panics
    /// When `probabilities` is no square.
    #[must_use]
    pub fn polygon(&self, probabilities: &[f32], corners: [f32; 4], most_points: usize) -> Vec<Vec<f64>> {
        let outline = self.mask(probabilities, corners).outline();
        outline.simplified(most_points).fractions(self.width, self.height)
    }
}
