//! Where and in what arithmetic to compute.

use models::registry::ModelSpec;
use schemas::error::ErrorCode;
use schemas::{Precision, plan};
use tch::Device;

use crate::failure::fail;
use crate::nn::network::Arithmetic;

/// The device that a plan or an option means. CUDA's library is opened only when it is asked for, or, for `auto`, when it is installed.
///
/// # Errors
/// When a CUDA device is asked for and is not there: never a silent CPU run.
pub fn open(wanted: plan::Device) -> anyhow::Result<Device> {
    match wanted {
        plan::Device::Cpu => Ok(Device::Cpu),
        plan::Device::Auto => {
            let loaded = bridge::cuda_library_folder().is_some_and(|folder| bridge::load_cuda(&folder).is_ok());
            Ok(if loaded && bridge::cuda_available() { Device::Cuda(0) } else { Device::Cpu })
        }
        plan::Device::Cuda(index) => {
            let Some(folder) = bridge::cuda_library_folder() else {
                return Err(unavailable(format!(
                    "device {wanted}: libtorch's CUDA half is not installed; run `scripts/setup --cuda`, or use --device cpu"
                )));
            };
            bridge::load_cuda(&folder).map_err(|error| unavailable(format!("device {wanted}: {error}")))?;
            let (index, count) = (usize::from(index), bridge::cuda_device_count());
            if index >= count {
                return Err(unavailable(format!(
                    "device {wanted}: this machine has {count} usable CUDA devices; check the NVIDIA driver with nvidia-smi, \
                     or use --device cpu"
                )));
            }
            Ok(Device::Cuda(index))
        }
    }
}

/// The device as a plan names it.
#[must_use]
pub fn named(device: Device) -> plan::Device {
    match device {
        Device::Cuda(index) => plan::Device::Cuda(u8::try_from(index).unwrap_or(u8::MAX)),
        Device::Cpu | Device::Mps | Device::Vulkan => plan::Device::Cpu,
    }
}

/// The arithmetic of a training step. `auto` is bf16 where the processor has it natively and the model trains faster in
/// it by measurement (README, "Speed"): depthwise convolutions gain nothing.
///
/// # Errors
/// When fp16 is asked for, which needs loss scaling that is not built.
pub fn arithmetic(precision: Precision, device: Device, spec: &ModelSpec) -> anyhow::Result<Arithmetic> {
    match (precision, device) {
        (Precision::Fp32, _) => Ok(Arithmetic::Fp32),
        (Precision::Bf16, _) => Ok(Arithmetic::Bf16),
        (Precision::Auto, Device::Cpu) if spec.gains_from_bf16() && bridge::bf16_supported() => Ok(Arithmetic::Bf16),
        (Precision::Auto, Device::Cuda(_)) => Ok(Arithmetic::Bf16),
        (Precision::Auto, _) => Ok(Arithmetic::Fp32),
        (Precision::Fp16, _) => {
            let message = "precision fp16 needs loss scaling, which is not built; use bf16, which needs none";
            Err(unavailable(message.to_owned()))
        }
    }
}

fn unavailable(message: String) -> anyhow::Error {
    fail(ErrorCode::DeviceUnavailable, message)
}

/// Threads for libtorch; 0 is every core. libtorch's results are the same in every run with the same number.
pub fn set_threads(threads: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores } else { threads };
    tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
    threads
}
