//! Between host and device without waiting: the host goes on while numbers are on their way. On the CPU there is nothing to wait
//! for, and everything here is a plain copy.

use crate::error::{BridgeError, check};
use crate::ffi;
use std::ptr;
use tch::kind::Element;
use tch::{Device, Kind, Tensor};

/// Numbers of the host as a tensor of `shape` on `device`. The copy to a CUDA device goes through pinned memory and is queued there:
/// nothing is waited for, and `values` may be changed as soon as this returns.
///
/// # Errors
/// If the numbers do not fill the shape, their type is none of u8, i64, f32 and f64, or there is no such device or no memory.
pub fn upload<T: Element>(values: &[T], shape: &[i64], device: Device) -> Result<Tensor, BridgeError> {
    let call = "upload";
    // Values of c10::ScalarType.
    let kind = match T::KIND {
        Kind::Uint8 => 0,
        Kind::Int64 => 4,
        Kind::Float => 6,
        Kind::Double => 7,
        other => {
            return Err(BridgeError::Input { call, problem: format!("values are {other:?}, not u8, i64, f32 or f64") });
        }
    };
    let device = match device {
        Device::Cpu => -1,
        Device::Cuda(index) => i32::try_from(index).unwrap_or(i32::MAX),
        Device::Mps | Device::Vulkan => {
            return Err(BridgeError::Input { call, problem: format!("{device:?} is no device of this bridge") });
        }
    };
    let numbers = ffi::Numbers {
        data: values.as_ptr().cast(),
        bytes: size_of_val(values),
        kind,
        sizes: shape.as_ptr(),
        dims: shape.len(),
    };
    let mut result = ptr::null_mut();
    // SAFETY: data and sizes are live and as long as said; the bytes are compared with the shape before they are read, and `result`
    // is written before the call returns null.
    check(call, unsafe { ffi::fovea_upload(&raw const numbers, device, &raw mut result) })?;
    // SAFETY: a fresh at::Tensor that nobody else owns.
    Ok(unsafe { Tensor::from_ptr(result) })
}

/// The values of a tensor on their way to the host.
///
/// A plain read waits for everything that is queued on the device; this waits for what was queued before it.
#[derive(Debug)]
pub struct Readback {
    pending: *mut ffi::PendingReadback,
}

impl Readback {
    /// Queues the copy. Nobody may write to the tensor until the values are there.
    ///
    /// # Errors
    /// If the tensor is undefined or there is no memory for the copy.
    pub fn begin(tensor: &Tensor) -> Result<Self, BridgeError> {
        let call = "readback";
        if !tensor.defined() {
            return Err(BridgeError::Input { call, problem: "the tensor is undefined".to_owned() });
        }
        let mut pending = ptr::null_mut();
        // SAFETY: `tensor` is a live at::Tensor, and `pending` is written before the call returns null.
        check(call, unsafe { ffi::fovea_readback_begin(tensor.as_ptr(), &raw mut pending) })?;
        Ok(Self { pending })
    }

    /// The values as a tensor on the CPU, once they are there.
    ///
    /// # Errors
    /// What the device says of the work before the copy.
    pub fn finish(self) -> Result<Tensor, BridgeError> {
        let mut result = ptr::null_mut();
        // SAFETY: `pending` came from begin and is freed on drop only; `result` is written before the call returns null.
        check("readback", unsafe { ffi::fovea_readback_finish(self.pending, &raw mut result) })?;
        // SAFETY: a fresh at::Tensor that nobody else owns.
        Ok(unsafe { Tensor::from_ptr(result) })
    }
}

impl Drop for Readback {
    fn drop(&mut self) {
        // SAFETY: `pending` came from begin and is freed exactly once, here.
        unsafe { ffi::fovea_readback_free(self.pending) };
    }
}

/// Gradients of `loss`, a scalar, with respect to `params`; with a `scale`, a scalar on the same device, those of `loss * scale`. The
/// gradient of a parameter that `loss` does not depend on is undefined. Frees the graph.
///
/// # Errors
/// If a parameter is not trained or libtorch fails; [`BridgeError::OutOfMemory`] if memory ran out.
pub fn backward(loss: &Tensor, scale: Option<&Tensor>, params: &[&Tensor]) -> Result<Vec<Tensor>, BridgeError> {
    let inputs: Vec<_> = params.iter().map(|param| param.as_ptr()).collect();
    let mut gradients = vec![ptr::null_mut(); params.len()];
    let scale = scale.map_or(ptr::null(), |scale| scale.as_ptr());
    // SAFETY: all are live at::Tensors, `scale` may be null, the lists are as long as said, and all of `gradients` is written before
    // the call returns null.
    let message =
        unsafe { ffi::fovea_backward(loss.as_ptr(), scale, params.len(), inputs.as_ptr(), gradients.as_mut_ptr()) };
    check("backward", message)?;
    // SAFETY: fresh at::Tensors that nobody else owns.
    Ok(gradients.into_iter().map(|gradient| unsafe { Tensor::from_ptr(gradient) }).collect())
}

/// Gives memory of CUDA devices that libtorch keeps for later tensors back to them. Nothing on a machine without.
///
/// # Errors
/// What the device says.
pub fn release_cached_memory() -> Result<(), BridgeError> {
    if !crate::cuda_available() {
        return Ok(());
    }
    // SAFETY: takes nothing.
    check("release_cached_memory", unsafe { ffi::fovea_release_cached_memory() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uploaded_numbers_are_those_of_the_host() {
        let up = upload(&[1.5_f32, -2.0, 3.0, 0.25, 5.0, 6.0], &[2, 3], Device::Cpu).expect("fits");
        assert_eq!((up.size(), up.kind()), (vec![2, 3], Kind::Float));
        assert!(up.equal(&Tensor::from_slice(&[1.5_f32, -2.0, 3.0, 0.25, 5.0, 6.0]).view([2, 3])));
        assert_eq!(Vec::<u8>::try_from(upload(&[7u8, 8], &[2], Device::Cpu).expect("fits")).expect("bytes"), [7, 8]);
        assert_eq!(Vec::<i64>::try_from(upload(&[-1i64], &[1], Device::Cpu).expect("fits")).expect("numbers"), [-1]);
        assert_eq!(upload::<f64>(&[], &[0, 4], Device::Cpu).expect("nothing").size(), [0, 4]);
        let error = upload(&[1.0_f64; 5], &[2, 3], Device::Cpu).expect_err("one is missing").to_string();
        assert!(error.contains("40 bytes") && error.contains("[2, 3]"), "{error}");
        assert!(upload(&[true], &[1], Device::Cpu).expect_err("no such type").to_string().contains("Bool"));
    }

    #[test]
    fn values_come_back_and_may_be_left_on_the_way() {
        let x = Tensor::from_slice(&[1i64, 2, 3, 4]).view([2, 2]).transpose(0, 1).set_requires_grad(false);
        let back = Readback::begin(&x).expect("begun").finish().expect("there");
        assert_eq!(Vec::<i64>::try_from(back.reshape([-1])).expect("numbers"), [1, 3, 2, 4]);
        drop(Readback::begin(&x).expect("begun"));
        assert!(Readback::begin(&Tensor::new()).is_err());
    }

    #[test]
    fn gradients_are_libtorchs_and_grow_with_the_scale() {
        let leaf = |values: &[f32]| Tensor::from_slice(values).set_requires_grad(true);
        let (a, b, unused) = (leaf(&[1.0, 2.0, 3.0]), leaf(&[0.5, -1.0, 4.0]), leaf(&[9.0]));
        let loss = || (&a * &b).square().sum(Kind::Float);
        let expected = Tensor::run_backward(&[loss()], &[&a, &b], false, false);
        let found = backward(&loss(), None, &[&a, &b, &unused]).expect("trained");
        assert!(expected[0].equal(&found[0]) && expected[1].equal(&found[1]) && !found[2].defined());
        let scaled = backward(&loss(), Some(&Tensor::from(1024.0_f32)), &[&a, &b]).expect("trained");
        assert!(scaled[0].equal(&(&found[0] * 1024.0)) && scaled[1].equal(&(&found[1] * 1024.0)));
        let error = backward(&loss(), None, &[&a, &Tensor::from(1.0_f32)]).expect_err("not trained").to_string();
        assert!(error.contains("parameter 1 is not trained"), "{error}");
    }
}
