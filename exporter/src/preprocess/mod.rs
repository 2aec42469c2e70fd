//! What surrounds the network in the two forms of the file: `prepared` takes images that the host has fitted to the
//! network's input, `whole` takes images of any size and fits them in the graph.

mod classify;
mod detect;
mod frame;
mod pixels;
mod tiles;

use runtime::Form;

pub use classify::{classifier, resize_and_cut};
pub use detect::detector;
pub use frame::frame;
pub use tiles::places;

/// What a file holds besides the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// How much of the preprocessing.
    pub form: Form,
    /// Whether a classifier also gives its penultimate layer, as output `features`.
    pub features: bool,
}

impl From<Form> for Contents {
    /// Without features.
    fn from(form: Form) -> Self {
        Self { form, features: false }
    }
}
