//! What a file holds besides the network.

use runtime::Form;

/// What a file holds besides the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Contents {
    /// How much of the preprocessing.
    pub form: Form,
    /// Whether a classifier also gives its penultimate layer, as output `features`.
    pub features: bool,
    /// Whether a model that outlines objects also gives their pixels, as output `pixels`.
    pub pixels: bool,
    /// Whether a classifier in form `prepared` takes images of any size, not only those of the checkpoint's.
    pub any_size: bool,
}

impl From<Form> for Contents {
    /// Without features and pixels, for images of the checkpoint's size.
    fn from(form: Form) -> Self {
        Self { form, features: false, pixels: false, any_size: false }
    }
}
