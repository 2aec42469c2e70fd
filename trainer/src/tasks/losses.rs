//! The loss of a batch, and what it is made of.

use tch::{Device, Kind, Tensor};

/// What one batch costs.
pub struct Losses {
    /// The scalar to differentiate.
    pub total: Tensor,
    /// What it is made of, by name: detached scalars on the network's device. Reading one waits for the device, so do
    /// that once a step at most.
    pub parts: Vec<(&'static str, Tensor)>,
}

impl Losses {
    /// The losses of two stages of one network.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.parts.extend(other.parts);
        Self { total: self.total + other.total, parts: self.parts }
    }

    /// The sum of named scalars, times `scale`; the parts are shown unscaled.
    pub(crate) fn sum<const COUNT: usize>(parts: [(&'static str, Tensor); COUNT], scale: f64) -> Self {
        let detached = parts.iter().map(|(name, value)| (*name, value.detach())).collect();
        let total = parts.into_iter().map(|(_, value)| value).reduce(|a, b| a + b);
        let total = total.unwrap_or_else(|| Tensor::zeros([] as [i64; 0], (Kind::Float, Device::Cpu)));
        Self { total: if scale == 1.0 { total } else { total * scale }, parts: detached }
    }
}
