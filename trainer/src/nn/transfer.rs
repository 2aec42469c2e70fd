//! Numbers on their way to the device.

use tch::kind::Element;
use tch::{Device, Tensor};

/// Numbers of the host as a tensor on `device`, without waiting for the work that is queued there.
///
/// # Panics
/// As libtorch's own: when there is no memory for them, or they do not fill the shape, which is a bug.
pub fn upload<T: Element>(values: &[T], shape: &[i64], device: Device) -> Tensor {
    bridge::upload(values, shape, device).unwrap_or_else(|error| panic!("{error}"))
}
