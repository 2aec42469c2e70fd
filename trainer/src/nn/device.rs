//! Where and in what arithmetic to compute.

use anyhow::{Context, bail};
use models::classify::Classifier;
use models::registry::{Kind, ModelSpec};
use schemas::Precision;
use tch::Device;

use crate::nn::network::Arithmetic;

/// The device that `auto`, `cpu` or `cuda:N` names. CUDA's library is opened only when it is asked for, or, for `auto`,
/// when it is installed.
///
/// # Errors
/// When a CUDA device is asked for and is not there: never a silent CPU run.
pub fn open(name: &str) -> anyhow::Result<Device> {
    match name {
        "cpu" => Ok(Device::Cpu),
        "auto" => {
            let loaded = bridge::cuda_library_folder().is_some_and(|folder| bridge::load_cuda(&folder).is_ok());
            Ok(if loaded && bridge::cuda_available() { Device::Cuda(0) } else { Device::Cpu })
        }
        cuda => {
            let index: usize = cuda
                .strip_prefix("cuda:")
                .and_then(|i| i.parse().ok())
                .with_context(|| format!("device {cuda:?} is none of auto, cpu, cuda:N"))?;
            let folder = bridge::cuda_library_folder().with_context(|| {
                format!("device {cuda}: libtorch's CUDA half is not installed; run `scripts/setup --cuda`, or use --device cpu")
            })?;
            bridge::load_cuda(&folder)?;
            let count = bridge::cuda_device_count();
            if index >= count {
                bail!(
                    "device {cuda}: this machine has {count} usable CUDA devices; check the NVIDIA driver with nvidia-smi, \
                     or use --device cpu"
                );
            }
            Ok(Device::Cuda(index))
        }
    }
}

/// The arithmetic of a training step. `auto` is bf16 where the processor has it natively and the model trains faster in
/// it by measurement (README, "Speed"): depthwise convolutions gain nothing.
///
/// # Errors
/// When fp16 is asked for, which needs loss scaling that is not built.
pub fn arithmetic(precision: Precision, device: Device, spec: &ModelSpec) -> anyhow::Result<Arithmetic> {
    let dense = match spec.kind {
        Kind::Classifier(
            Classifier::Resnet(_) | Classifier::Resnest(_) | Classifier::SeResnext | Classifier::Vit(_),
        )
        | Kind::Detector(_) => true,
        Kind::Classifier(Classifier::MobileNetV2 | Classifier::EfficientNetLite0) => false,
    };
    match (precision, device) {
        (Precision::Fp32, _) => Ok(Arithmetic::Fp32),
        (Precision::Bf16, _) => Ok(Arithmetic::Bf16),
        (Precision::Auto, Device::Cpu) if dense && bridge::bf16_supported() => Ok(Arithmetic::Bf16),
        (Precision::Auto, Device::Cuda(_)) => Ok(Arithmetic::Bf16),
        (Precision::Auto, _) => Ok(Arithmetic::Fp32),
        (Precision::Fp16, _) => {
            bail!("precision fp16 needs loss scaling, which is not built; use bf16, which needs none")
        }
    }
}

/// Threads for libtorch; 0 is every core. libtorch's results are the same in every run with the same number.
pub fn set_threads(threads: usize) -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = if threads == 0 { cores } else { threads };
    tch::set_num_threads(i32::try_from(threads).unwrap_or(1));
    threads
}
