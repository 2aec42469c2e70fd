//! Sweeps: what is searched ([`space`]), what is tried next ([`sampler`]), what is ended early ([`termination`]), what was asked
//! ([`plan`], written by hand or read from a job file by [`job`]), and the trials ([`study`]).
//!
//! Nothing here knows tensors: a trial is a process that trains. Everything random comes from (seed, trial number).

pub mod auto;
pub mod job;
pub mod mlflow;
pub mod plan;
pub mod sampler;
pub mod space;
pub mod study;
pub mod termination;
