//! OpenVINO: Intel's library for ONNX Runtime, what it offers, and its options.

use ort::{environment::Environment, memory::DeviceType, session::builder::SessionBuilder};
use serde_json::{Value, json};

use crate::OPENVINO_VARIABLE;
use crate::plugin::Library;
use crate::provider::{OpenVinoDevice, Wishes};

/// Intel's library.
pub(crate) const LIBRARY: Library = Library {
    name: "OpenVINO",
    provider: "OpenVINOExecutionProvider",
    file: "libonnxruntime_providers_openvino_plugin.so",
    variable: OPENVINO_VARIABLE,
    folder: "openvino",
    package: "onnxruntime_ep_openvino",
    get: "run `scripts/setup --openvino`, or name the file of the Python package onnxruntime-ep-openvino, or its folder, in \
          FOVEA_OPENVINO",
};

/// Asks for this device of OpenVINO's.
///
/// # Errors
/// What is missing, or what ONNX Runtime said.
pub(crate) fn register(
    builder: SessionBuilder,
    device: OpenVinoDevice,
    wishes: Wishes,
) -> Result<SessionBuilder, String> {
    let environment = LIBRARY.open(|_| Ok(()))?;
    let kind = match device {
        OpenVinoDevice::Cpu => DeviceType::CPU,
        OpenVinoDevice::Gpu => DeviceType::GPU,
        OpenVinoDevice::Npu => DeviceType::NPU,
    };
    let offered = LIBRARY.devices(environment);
    let kinds: Vec<DeviceType> = offered.iter().map(|one| one.hardware_device().ty()).collect();
    let chosen = offered.into_iter().find(|one| one.hardware_device().ty() == kind);
    let chosen = chosen.ok_or_else(|| absent(device, &kinds, &processor(environment)))?;
    let options = config(device, wishes).map(|config| {
        let name = device.name();
        (format!("{}.load_config", LIBRARY.provider), json!({ name: config }).to_string())
    });
    builder.with_devices([chosen], options.as_ref().map(std::slice::from_ref)).map_err(|e| e.message().to_owned())
}

/// What OpenVINO is told about a device. Its own defaults are half of the precision wherever that is faster, every processor of the
/// machine, and threads that are tied to processors, which other sessions and the decoding want, too.
fn config(device: OpenVinoDevice, wishes: Wishes) -> Option<Value> {
    match device {
        OpenVinoDevice::Cpu => Some(json!({
            "INFERENCE_PRECISION_HINT": "f32",
            "INFERENCE_NUM_THREADS": wishes.threads.to_string(),
            "NUM_STREAMS": "1",
            "ENABLE_CPU_PINNING": "NO",
        })),
        OpenVinoDevice::Gpu => Some(json!({ "INFERENCE_PRECISION_HINT": "f32", "NUM_STREAMS": "1" })),
        // It computes in half precision and knows no other.
        OpenVinoDevice::Npu => None,
    }
}

/// Why there is no such device, where these kinds are offered and the processor is of this maker.
fn absent(device: OpenVinoDevice, offered: &[DeviceType], processor: &str) -> String {
    let offered: Vec<String> = offered.iter().map(|kind| format!("openvino:{kind:?}")).collect();
    let offered =
        if offered.is_empty() { "nor anything else".to_owned() } else { format!("only {}", offered.join(", ")) };
    let takes = match device {
        OpenVinoDevice::Cpu => format!("its library takes processors of Intel, and this one is of {processor}"),
        OpenVinoDevice::Gpu | OpenVinoDevice::Npu => {
            "its library takes those of Intel, whose driver has to be installed".to_owned()
        }
    };
    format!("OpenVINO offers no {} on this machine, {offered}; {takes}", device.name())
}

/// The maker of the processor, as ONNX Runtime names it.
fn processor(environment: &'static Environment) -> String {
    let maker = environment.devices().find(|device| device.hardware_device().ty() == DeviceType::CPU);
    let maker = maker.and_then(|device| device.hardware_device().vendor().ok()).filter(|name| !name.is_empty());
    maker.unwrap_or("a maker that it does not name").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_offered_says_what_is() {
        let npu = absent(OpenVinoDevice::Npu, &[DeviceType::CPU, DeviceType::GPU], "Intel");
        assert!(npu.contains("no NPU on this machine, only openvino:CPU, openvino:GPU; "), "{npu}");
        let cpu = absent(OpenVinoDevice::Cpu, &[], "AMD");
        assert!(
            cpu.contains("no CPU on this machine, nor anything else; ") && cpu.ends_with("this one is of AMD"),
            "{cpu}"
        );
    }

    #[test]
    fn it_computes_in_single_precision_on_the_threads_that_it_is_given() {
        let wishes = Wishes { graphs: false, one_size: true, threads: 3 };
        let cpu = config(OpenVinoDevice::Cpu, wishes).unwrap();
        assert_eq!((&cpu["INFERENCE_PRECISION_HINT"], &cpu["INFERENCE_NUM_THREADS"]), (&json!("f32"), &json!("3")));
        assert_eq!(config(OpenVinoDevice::Gpu, wishes).unwrap()["INFERENCE_PRECISION_HINT"], "f32");
        assert_eq!(config(OpenVinoDevice::Npu, wishes), None);
    }
}
