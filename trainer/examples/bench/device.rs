//! The device that a command computes on, and how long steps take there.

use std::time::Instant;

use schemas::plan;
use tch::{Cuda, Device};
use trainer::nn::device;

/// Steps of a CUDA device between two waits for it: it works while the host queues the next ones, as in a training.
const QUEUED: usize = 10;

/// The device that the last argument names as `--device` does: the CPU where there is none.
pub(crate) fn open(name: Option<&String>) -> anyhow::Result<Device> {
    let wanted = name.map_or(Ok(plan::Device::Cpu), |name| name.parse()).map_err(anyhow::Error::msg)?;
    device::open(wanted)
}

/// What there is to compute on: libtorch's CUDA half, where it lies, and how many devices it can use.
pub(crate) fn describe() -> serde_json::Value {
    let library = bridge::cuda_library_folder();
    let refused = library.as_ref().and_then(|folder| bridge::load_cuda(folder).err()).map(|error| error.to_string());
    serde_json::json!({ "library": library, "refused": refused, "devices": bridge::cuda_device_count() })
}

/// Milliseconds of each step. On a CUDA device, whose work the host only queues, each number is the mean of ten steps from
/// one wait for the device to the next.
pub(crate) fn timed(
    device: Device,
    steps: usize,
    mut step: impl FnMut(usize) -> anyhow::Result<()>,
) -> anyhow::Result<Vec<f64>> {
    let together = if device.is_cuda() { QUEUED } else { 1 };
    let (mut times, mut done) = (Vec::new(), 0);
    while done < steps {
        let count = together.min(steps - done);
        let started = Instant::now();
        for index in done..done + count {
            step(index)?;
        }
        if let Device::Cuda(index) = device {
            Cuda::synchronize(i64::try_from(index)?);
        }
        times.push(started.elapsed().as_secs_f64() * 1e3 / count as f64);
        done += count;
    }
    Ok(times)
}
