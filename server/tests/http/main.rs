//! The real program, over real sockets. Needs ONNX Runtime; the models are those of `scripts/oracle/tiny_model.py`.

#![expect(clippy::unwrap_used, reason = "a panic is how a test reports")]

mod answers;
mod clients;
mod contract;
mod corpus;
mod costly;
mod detection;
mod explain;
mod grpc;
mod hostile;
mod images;
mod load;
mod masks;
mod odd;
mod openvino;
mod outputs;
mod protocol;
mod providers;
mod registered;
mod settings;
mod slow;
mod start;
mod stop;
mod support;
mod swaps;
mod telemetry;
mod viewer;
