//! Networks on libtorch: the Eager interpreter, parameters and where they come from, checkpoints, precision.

pub mod checkpoint;
pub mod device;
pub mod download;
pub mod eager;
pub mod ema;
pub mod network;
pub mod params;
pub mod pretrained;
pub mod previous;
pub mod transfer;
