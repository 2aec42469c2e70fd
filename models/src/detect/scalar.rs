//! Numbers among tensors.

use crate::ops::Ops;

/// A float that broadcasts against everything.
pub(super) fn scalar<B: Ops>(o: &B, value: f32) -> B::T {
    o.constant(&[value], &[1])
}
