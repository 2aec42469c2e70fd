//! What every view is made of: which one it is, the data set it is of, and the tools of whoever makes it.

use std::sync::Arc;

use models::host::{Placement, Resizer};
use schemas::Preprocessing;

use super::bad::BadSamples;
use super::dataset::Images;
use super::rng::KeyedRng;

/// Which training view is to be made; nothing else decides how it looks.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ViewKey {
    /// Training sample.
    pub unit: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Epoch, from 0.
    pub epoch: u32,
    /// Number of the batch in its epoch.
    pub batch: usize,
}

impl ViewKey {
    /// The sample's own stream.
    pub fn rng(&self) -> KeyedRng {
        KeyedRng::new("augment", &[self.seed, u64::from(self.epoch), self.unit as u64])
    }
}

/// A worker's tools.
#[derive(Default)]
pub(crate) struct Scratch {
    /// Buffers of resizing.
    pub resizer: Resizer,
    /// The sample whose view is being made, so that a panic can name it.
    pub current: usize,
}

/// The data set that views are of.
pub(crate) struct Ground {
    pub images: Arc<dyn Images>,
    pub preprocessing: Preprocessing,
    pub bad: BadSamples,
}

impl Ground {
    /// Where evaluation puts an image of this size.
    pub fn placement(&self, width: u32, height: u32) -> Placement {
        Placement::of(width, height, &self.preprocessing.fit)
    }
}
