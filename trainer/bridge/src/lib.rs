//! What [`tch`] does not expose of libtorch: autocast on the CPU, channels-last memory, reference counts, fused optimizer steps,
//! deterministic algorithms, the CUDA library opened at run time, copies between host and device that nobody waits for, and how freed
//! memory is kept; and what libtorch itself lacks: non-maximum suppression and RoIAlign.
//!
//! This is the only crate with unsafe code. Its C++ half is `cpp/`; every call into it is wrapped here so that nothing a
//! safe caller does is undefined behaviour.

mod autocast;
mod cuda;
mod device;
mod error;
mod ffi;
mod memory;
mod nms;
mod optimizer;
mod parameters;
mod process;
mod roi_align;
mod tensor_ops;

pub use autocast::{AutocastGuard, autocast, autocast_cpu_bf16, with_autocast};
pub use cuda::{cuda_available, cuda_device_count, cuda_library_folder, load_cuda};
pub use device::{Readback, backward, release_cached_memory, upload};
pub use error::{BridgeError, is_out_of_memory};
pub use memory::{channels_last, is_channels_last, is_only_owner, storage_use_count, use_count};
pub use nms::{nms, nms_within};
pub use optimizer::{AdamState, AdamStep, SgdStep, Skip, fused_adam, fused_adamw, fused_sgd, unscale};
pub use parameters::{Nms, NmsWithin, RoiAlign};
pub use process::{bf16_supported, keep_freed_memory, set_deterministic, set_tf32, set_variable, tf32};
pub use roi_align::roi_align;
