//! What the environment may say about the library.

/// Environment variable that names the library file, or the folder it lies in.
pub const LIBRARY_VARIABLE: &str = "FOVEA_ONNXRUNTIME";
