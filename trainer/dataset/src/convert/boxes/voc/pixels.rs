//! What the numbers of a box mean.

/// What the numbers of a box mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pixels {
    /// Corners in continuous pixels, 0 at the edge.
    #[default]
    Corners,
    /// First and last pixel, counted from 1.
    Inclusive,
}

impl Pixels {
    /// What the numbers begin at, beyond what corners do.
    pub fn offset(self) -> f64 {
        match self {
            Self::Corners => 0.0,
            Self::Inclusive => 1.0,
        }
    }
}
