//! Numbers between host and device.

use tch::{Device, Kind, Tensor};

/// The precision to compute in: float64 stays, everything else becomes float32.
pub(super) fn precise(kind: Kind) -> Kind {
    if kind == Kind::Double { Kind::Double } else { Kind::Float }
}

/// Host values on a device, without waiting for the work that is queued there.
pub(super) fn upload<T: tch::kind::Element>(values: &[T], kind: Kind, device: Device) -> Tensor {
    Tensor::from_slice(values).to_kind(kind).to_device_(device, kind, true, false)
}

/// The values of a tensor on the host, row-major. Waits for the device.
pub(super) fn host<T: tch::kind::Element + Clone + Default>(tensor: &Tensor) -> Vec<T> {
    let tensor = tensor.to_device(Device::Cpu).to_kind(T::KIND).contiguous();
    let mut values = vec![T::default(); tensor.numel()];
    tensor.copy_data(&mut values, tensor.numel());
    values
}
