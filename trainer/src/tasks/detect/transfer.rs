//! Numbers between host and device.

use tch::{Device, Kind, Tensor};

use crate::nn::transfer;

/// The precision to compute in: float64 stays, everything else becomes float32.
pub(super) fn precise(kind: Kind) -> Kind {
    if kind == Kind::Double { Kind::Double } else { Kind::Float }
}

/// Host values on a device, without waiting for the work that is queued there.
pub(super) fn upload<T: tch::kind::Element>(values: &[T], kind: Kind, device: Device) -> Tensor {
    transfer::upload(values, &[values.len() as i64], device).to_kind(kind)
}

/// The values of a tensor on the host, row-major. Waits for the device.
pub(super) fn host<T: tch::kind::Element + Clone + Default>(tensor: &Tensor) -> Vec<T> {
    let tensor = tensor.to_device(Device::Cpu).to_kind(T::KIND).contiguous();
    let mut values = vec![T::default(); tensor.numel()];
    tensor.copy_data(&mut values, tensor.numel());
    values
}
