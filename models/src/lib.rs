//! Architectures written once over [`ops::Ops`], their manifests, weights tables and key maps, and the image code that
//! training, evaluation and serving share. Links neither libtorch nor ONNX Runtime.

pub mod classify;
pub mod detect;
pub mod host;
pub mod manifest;
pub mod ops;
pub mod registry;
pub mod scope;
pub mod shapes;
pub mod weights;
