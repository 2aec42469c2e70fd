//! Serves exported models over HTTP: images in, predictions out. No libtorch.
//!
//! The walk of one request: a route reads the body under [`admit`]'s limits, parses it as a type of [`schemas::prediction`],
//! checks its options (`request`), has every image decoded and prepared on the [`pool`] (`prepare`), submits the batches to the
//! model's bounded queue ([`backend`]), and answers (`answer`).
//! Routes parse and render only; decoding and resizing happen before the queue, so that whatever stands between queue
//! and session (batching) sees images of one size; sessions are owned by the worker threads. What goes wrong is a
//! [`error::ServerError`], which has a code; its status follows from that ([`schemas::ErrorCode::http_status`]).
//! [`score`] walks the same way with the images of a folder or a list, without HTTP.

pub mod admit;
mod answer;
pub mod app;
pub mod backend;
mod busy;
pub mod catalogue;
mod coding;
pub mod config;
mod connections;
mod descriptors;
mod drawn;
pub mod error;
#[doc(hidden)]
pub mod fuzz;
pub mod grpc;
pub mod loader;
pub mod log;
pub mod manager;
mod masks;
pub mod metrics;
mod named;
mod observe;
mod openapi;
pub mod paths;
pub mod pool;
mod prepare;
mod process;
pub mod providers;
mod queue;
mod readings;
mod render;
pub mod repository;
mod request;
mod routes;
pub mod score;
pub mod settings;
pub mod shadow;
pub mod state;
pub mod stop;
pub mod traffic;
mod v2;
mod wire;
