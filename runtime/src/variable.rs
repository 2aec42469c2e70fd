//! What the environment may say about libraries.

/// Environment variable that names the library file, or the folder it lies in.
pub const LIBRARY_VARIABLE: &str = "FOVEA_ONNXRUNTIME";
/// Environment variable that names OpenVINO's library for ONNX Runtime, or the folder it lies in.
pub const OPENVINO_VARIABLE: &str = "FOVEA_OPENVINO";

/// Environment variable that names TensorRT's library for ONNX Runtime, or the folder it lies in.
pub const TENSORRT_VARIABLE: &str = "FOVEA_TENSORRT";
