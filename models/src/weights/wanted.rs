//! What a network wants of a file.

use crate::ops::Role;

/// One entry of a network's state dict.
#[derive(Clone, Copy, Debug)]
pub struct Wanted<'a> {
    /// Key in the state dict.
    pub key: &'a str,
    /// Sizes; empty for a scalar.
    pub shape: &'a [i64],
    /// What the entry is for.
    pub role: Role,
    /// Whether it belongs to the head, whose first dimension is the number of classes.
    pub head: bool,
}
