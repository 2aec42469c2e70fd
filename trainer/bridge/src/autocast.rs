//! Automatic mixed precision: inside a guard, libtorch runs matrix products and convolutions in a smaller type and keeps what needs
//! range (softmax, losses, reductions) in f32.

use crate::error::check;
use crate::ffi;
use std::{ffi::c_int, marker::PhantomData};
use tch::{Device, Kind};

/// Autocast as it was set by [`autocast`]; dropping it restores what was set before, also while panicking.
///
/// Guards nest; drop them in the reverse order of their creation (scopes do). The state is the thread's, so a guard stays on its thread.
#[must_use = "autocast ends when the guard is dropped"]
#[derive(Debug)]
pub struct AutocastGuard {
    device: c_int,
    was_enabled: bool,
    was_dtype: c_int,
    on_this_thread: PhantomData<*const ()>,
}

/// Turns autocast to `kind` on or off for `device`'s type, until the guard is dropped. Casts of weights are cached until the
/// outermost guard ends, so step an optimizer outside.
///
/// # Panics
/// If libtorch knows no autocast for the device or the type: the CPU takes bf16 and f16, CUDA f16 and bf16.
pub fn autocast(device: Device, kind: Kind, enabled: bool) -> AutocastGuard {
    let device = match device {
        Device::Cpu => 0,
        Device::Cuda(_) => 1,
        Device::Mps | Device::Vulkan => panic!("no autocast for {device:?}"),
    };
    // Values of c10::ScalarType.
    let dtype = match kind {
        Kind::Half => 5,
        Kind::BFloat16 => 15,
        other => panic!("autocast to {other:?}: only bf16 and f16 exist"),
    };
    let (mut was_enabled, mut was_dtype) = (false, 0);
    // SAFETY: the two out-pointers are valid for the call, and device and type are values of libtorch's enums.
    let message =
        unsafe { ffi::fovea_autocast_enter(device, dtype, enabled, &raw mut was_enabled, &raw mut was_dtype) };
    check("autocast", message).expect("libtorch has autocast for the CPU and CUDA in bf16 and f16");
    AutocastGuard { device, was_enabled, was_dtype, on_this_thread: PhantomData }
}

/// [`autocast`] to bf16 on the CPU. See [`bf16_supported`](crate::bf16_supported) for when that is faster than f32.
pub fn autocast_cpu_bf16(enabled: bool) -> AutocastGuard {
    autocast(Device::Cpu, Kind::BFloat16, enabled)
}

/// Runs `body` under [`autocast_cpu_bf16`].
pub fn with_autocast<T>(enabled: bool, body: impl FnOnce() -> T) -> T {
    let _guard = autocast_cpu_bf16(enabled);
    body()
}

impl Drop for AutocastGuard {
    fn drop(&mut self) {
        // SAFETY: plain values, taken from the matching enter.
        let message = unsafe { ffi::fovea_autocast_leave(self.device, self.was_enabled, self.was_dtype) };
        // A drop cannot fail, and restoring values that libtorch gave out does not.
        debug_assert!(check("autocast", message).is_ok());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::Tensor;

    fn product() -> Kind {
        let a = Tensor::ones([8, 8], (Kind::Float, Device::Cpu));
        a.matmul(&a).kind()
    }

    #[test]
    fn products_run_in_bf16_inside_and_f32_outside() {
        assert_eq!(product(), Kind::Float);
        assert_eq!(with_autocast(true, product), Kind::BFloat16);
        assert_eq!(with_autocast(false, product), Kind::Float);
        assert_eq!(product(), Kind::Float);
    }

    #[test]
    fn guards_nest() {
        let outer = autocast_cpu_bf16(true);
        {
            let _inner = autocast_cpu_bf16(false);
            assert_eq!(product(), Kind::Float);
            assert_eq!(with_autocast(true, product), Kind::BFloat16);
            assert_eq!(product(), Kind::Float);
        }
        assert_eq!(product(), Kind::BFloat16);
        drop(outer);
        assert_eq!(product(), Kind::Float);
    }

    #[test]
    fn a_panic_restores_full_precision() {
        let result = std::panic::catch_unwind(|| with_autocast(true, || assert_eq!(product(), Kind::Float)));
        assert!(result.is_err());
        assert_eq!(product(), Kind::Float);
    }

    #[test]
    fn other_threads_are_untouched() {
        let _guard = autocast_cpu_bf16(true);
        let elsewhere = std::thread::spawn(product).join().expect("the thread only multiplies");
        assert_eq!(elsewhere, Kind::Float);
    }

    #[test]
    fn a_weight_changed_between_guards_is_cast_anew() {
        let mut weight = Tensor::ones([4, 4], (Kind::Float, Device::Cpu)).set_requires_grad(true);
        let sum = |w: &Tensor| with_autocast(true, || w.matmul(w).sum(Kind::Float).double_value(&[]));
        assert_eq!(sum(&weight), 64.0);
        let _ = tch::no_grad(|| weight.fill_(2.0));
        assert_eq!(sum(&weight), 256.0);
    }
}
