//! How a tensor lies in memory and who else holds it.

use crate::error::check;
use crate::ffi;
use tch::Tensor;

/// The same values in channels-last order (NHWC in memory, NCHW in shape); a tensor that has it already is shared, not copied.
/// oneDNN's and cuDNN's convolutions prefer this order and keep it.
///
/// # Panics
/// If the tensor does not have 4 dimensions.
pub fn channels_last(tensor: &Tensor) -> Tensor {
    let mut result = std::ptr::null_mut();
    // SAFETY: `tensor` is a live at::Tensor, and `result` is written before the call returns null.
    let message = unsafe { ffi::fovea_channels_last(tensor.as_ptr(), &raw mut result) };
    if let Err(error) = check("channels_last", message) {
        panic!("{error}");
    }
    // SAFETY: a fresh at::Tensor that nobody else owns.
    unsafe { Tensor::from_ptr(result) }
}

/// Whether the values lie in channels-last order without gaps. A tensor of one channel or of 1x1 pixels lies in both orders at once.
/// False for anything but 4 dimensions.
pub fn is_channels_last(tensor: &Tensor) -> bool {
    let mut result = false;
    // SAFETY: `tensor` is a live at::Tensor and the out-pointer is valid for the call.
    let message = unsafe { ffi::fovea_is_channels_last(tensor.as_ptr(), &raw mut result) };
    check("is_channels_last", message).is_ok() && result
}

/// How many handles (Rust's, autograd's, C++'s) share this very tensor: 1 for a fresh one, one more for each `shallow_clone`, and
/// possibly one for each view, which may remember its base. 0 for an undefined tensor. See also [`storage_use_count`].
pub fn use_count(tensor: &Tensor) -> usize {
    // SAFETY: `tensor` is a live at::Tensor.
    unsafe { ffi::fovea_use_count(tensor.as_ptr()) }
}

/// How many tensors share the memory behind this one: itself, its views, and what autograd has saved of it. 0 without storage.
pub fn storage_use_count(tensor: &Tensor) -> usize {
    // SAFETY: `tensor` is a live at::Tensor.
    unsafe { ffi::fovea_storage_use_count(tensor.as_ptr()) }
}

/// Whether overwriting the tensor's memory can be seen by nobody but the holder of this handle: it is the only handle of the tensor,
/// the tensor is the only one on its storage, and no gradient flows through it.
pub fn is_only_owner(tensor: &Tensor) -> bool {
    use_count(tensor) == 1 && storage_use_count(tensor) == 1 && !tensor.requires_grad()
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind};

    #[test]
    fn channels_last_changes_strides_and_no_value() {
        let x = Tensor::arange(2 * 3 * 4 * 5, (Kind::Float, Device::Cpu)).view([2, 3, 4, 5]);
        assert!(!is_channels_last(&x));
        let y = channels_last(&x);
        assert_eq!(y.size(), [2, 3, 4, 5]);
        assert_eq!(y.stride(), [60, 1, 15, 3]);
        assert!(is_channels_last(&y));
        assert!(x.equal(&y));
        assert_eq!(channels_last(&y).data_ptr(), y.data_ptr());
    }

    #[test]
    fn other_ranks_are_not_channels_last() {
        let x = Tensor::zeros([3, 4], (Kind::Float, Device::Cpu));
        assert!(!is_channels_last(&x));
        assert!(std::panic::catch_unwind(|| channels_last(&Tensor::zeros([3], (Kind::Float, Device::Cpu)))).is_err());
    }

    #[test]
    fn handles_views_and_autograd_are_counted() {
        let x = Tensor::zeros([4], (Kind::Float, Device::Cpu));
        assert_eq!((use_count(&x), storage_use_count(&x)), (1, 1));
        assert!(is_only_owner(&x));
        let same = x.shallow_clone();
        assert_eq!((use_count(&x), use_count(&same)), (2, 2));
        drop(same);
        let view = x.narrow(0, 0, 2);
        assert_eq!((storage_use_count(&x), storage_use_count(&view)), (2, 2));
        assert!(!is_only_owner(&x) && !is_only_owner(&view));
        drop(view);
        assert!(is_only_owner(&x));

        // Autograd keeps x to differentiate x * w.
        let w = Tensor::ones([4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let y = &x * &w;
        assert!(!is_only_owner(&x));
        assert!(!is_only_owner(&y));
        drop(y);
        assert!(is_only_owner(&x));
        assert_eq!(use_count(&Tensor::new()), 0);
    }
}
