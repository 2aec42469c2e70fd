//! Where and in what arithmetic to compute.

use models::registry::ModelSpec;
use schemas::error::ErrorCode;
use schemas::{Precision, plan};
use tch::Device;

use crate::failure::fail;
use crate::nn::network::Arithmetic;

/// What cuBLAS calls its workspaces, and the setting with which it promises equal bits in every run.
const WORKSPACE: (&str, &str) = ("CUBLAS_WORKSPACE_CONFIG", ":4096:8");

/// Makes cuBLAS give equal bits in every run, unless the environment says how it shall work. For the first lines of `main`: cuBLAS
/// reads the variable when it is first used. Where it cannot be set, libtorch refuses to train on a CUDA device and names it.
pub fn fix_workspace() {
    let (name, value) = WORKSPACE;
    if std::env::var_os(name).is_none() {
        let _ = bridge::set_variable(name, value);
    }
}

/// The device that a plan or an option means. CUDA's library is opened only when it is asked for, or, for `auto`, when it is installed.
/// On a CUDA device float32 is float32: products of shortened factors (TF32) are off.
///
/// # Errors
/// When a CUDA device is asked for and is not there: never a silent CPU run.
pub fn open(wanted: plan::Device) -> anyhow::Result<Device> {
    match wanted {
        plan::Device::Cpu => Ok(Device::Cpu),
        plan::Device::Auto => {
            let loaded = bridge::cuda_library_folder().is_some_and(|folder| bridge::load_cuda(&folder).is_ok());
            if !loaded || !bridge::cuda_available() {
                return Ok(Device::Cpu);
            }
            bridge::set_tf32(false)?;
            Ok(Device::Cuda(0))
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
            bridge::set_tf32(false)?;
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
/// When fp16 is asked for on the CPU.
pub fn arithmetic(precision: Precision, device: Device, spec: &ModelSpec) -> anyhow::Result<Arithmetic> {
    match (precision, device) {
        (Precision::Fp32, _) => Ok(Arithmetic::Fp32),
        (Precision::Bf16, _) => Ok(Arithmetic::Bf16),
        (Precision::Auto, Device::Cpu) if spec.gains_from_bf16() && bridge::bf16_supported() => Ok(Arithmetic::Bf16),
        (Precision::Auto, Device::Cuda(_)) => Ok(Arithmetic::Bf16),
        (Precision::Auto, _) => Ok(Arithmetic::Fp32),
        (Precision::Fp16, Device::Cuda(_)) => Ok(Arithmetic::Fp16),
        (Precision::Fp16, _) => {
            let message = "precision fp16 is for CUDA devices: the CPU gains nothing by it and would need its loss scaling too; \
                           use bf16 or fp32, or a --device cuda:N";
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
