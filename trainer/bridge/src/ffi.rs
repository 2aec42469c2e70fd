//! Declarations of `cpp/`. A function that returns `*mut c_char` returns null for success or a message to free; of a guarded one, its
//! first byte is the kind of failure (`crate::error`).

use std::ffi::{c_char, c_int, c_void};
use torch_sys::C_tensor;

/// Rust's twin of `FoveaSgd`.
#[repr(C)]
pub struct Sgd {
    pub lr: f64,
    pub momentum: f64,
    pub dampening: f64,
    pub weight_decay: f64,
    pub nesterov: bool,
    pub first_step: bool,
}

/// Rust's twin of `FoveaAdam`.
#[repr(C)]
pub struct Adam {
    pub lr: f64,
    pub beta1: f64,
    pub beta2: f64,
    pub eps: f64,
    pub weight_decay: f64,
    pub step: f64,
    pub decoupled: bool,
}

/// Rust's twin of `FoveaSkip`: both null, or neither.
#[repr(C)]
pub struct Skip {
    pub now: *const C_tensor,
    pub before: *const C_tensor,
}

/// Rust's twin of `FoveaNms`.
#[repr(C)]
pub struct Nms {
    pub iou_threshold: f32,
    pub score_threshold: f32,
    pub cap: i64,
}

/// Rust's twin of `FoveaRoiAlign`.
#[repr(C)]
pub struct RoiAlign {
    pub output: i64,
    pub sampling: i64,
    pub scales: *const f64,
}

/// Rust's twin of `FoveaAdamLists`: `count` tensors each; `maxima` may be null.
#[repr(C)]
pub struct AdamLists {
    pub count: usize,
    pub params: Tensors,
    pub grads: Tensors,
    pub averages: Tensors,
    pub squares: Tensors,
    pub maxima: Tensors,
}

/// Rust's twin of `FoveaLevels`.
#[repr(C)]
pub struct Levels {
    pub count: usize,
    pub tensors: Tensors,
}

/// Rust's twin of `FoveaNumbers`.
#[repr(C)]
pub struct Numbers {
    pub data: *const c_void,
    pub bytes: usize,
    pub kind: c_int,
    pub sizes: *const i64,
    pub dims: usize,
}

/// `FoveaReadback`, which only C++ looks into.
#[repr(C)]
pub struct PendingReadback {
    _private: [u8; 0],
}

pub type Tensors = *const *const C_tensor;

unsafe extern "C" {
    pub fn fovea_free_message(text: *mut c_char);

    pub fn fovea_autocast_enter(
        device: c_int,
        dtype: c_int,
        enabled: bool,
        was_enabled: *mut bool,
        was_dtype: *mut c_int,
    ) -> *mut c_char;
    pub fn fovea_autocast_leave(device: c_int, was_enabled: bool, was_dtype: c_int) -> *mut c_char;

    pub fn fovea_channels_last(tensor: *const C_tensor, result: *mut *mut C_tensor) -> *mut c_char;
    pub fn fovea_is_channels_last(tensor: *const C_tensor, result: *mut bool) -> *mut c_char;
    pub fn fovea_use_count(tensor: *const C_tensor) -> usize;
    pub fn fovea_storage_use_count(tensor: *const C_tensor) -> usize;

    pub fn fovea_fused_sgd(
        count: usize,
        params: Tensors,
        grads: Tensors,
        buffers: Tensors,
        step: *const Sgd,
        skip: Skip,
    ) -> *mut c_char;
    pub fn fovea_fused_adam(lists: *const AdamLists, step: *const Adam, skip: Skip) -> *mut c_char;
    pub fn fovea_unscale(
        count: usize,
        grads: Tensors,
        inverse_scale: *const C_tensor,
        found_inf: *const C_tensor,
    ) -> *mut c_char;

    pub fn fovea_nms(
        boxes: *const C_tensor,
        scores: *const C_tensor,
        parameters: *const Nms,
        result: *mut *mut C_tensor,
    ) -> *mut c_char;
    pub fn fovea_roi_align(
        levels: *const Levels,
        rois: *const C_tensor,
        level_of: *const C_tensor,
        parameters: *const RoiAlign,
        result: *mut *mut C_tensor,
    ) -> *mut c_char;

    pub fn fovea_upload(numbers: *const Numbers, device: c_int, result: *mut *mut C_tensor) -> *mut c_char;
    pub fn fovea_readback_begin(tensor: *const C_tensor, result: *mut *mut PendingReadback) -> *mut c_char;
    pub fn fovea_readback_finish(readback: *const PendingReadback, result: *mut *mut C_tensor) -> *mut c_char;
    pub fn fovea_readback_free(readback: *mut PendingReadback);
    pub fn fovea_backward(
        loss: *const C_tensor,
        scale: *const C_tensor,
        count: usize,
        params: Tensors,
        gradients: *mut *mut C_tensor,
    ) -> *mut c_char;
    pub fn fovea_release_cached_memory() -> *mut c_char;
    #[cfg(test)]
    pub fn fovea_fail(is_memory: bool) -> *mut c_char;

    pub fn fovea_set_deterministic(on: bool) -> *mut c_char;
    pub fn fovea_set_tf32(on: bool) -> *mut c_char;
    pub fn fovea_tf32(result: *mut bool) -> *mut c_char;
    pub fn fovea_cpu_has(name: *const c_char, result: *mut bool) -> *mut c_char;
    pub fn fovea_keep_freed_memory() -> bool;

    pub fn fovea_open_library(path: *const c_char) -> *mut c_char;
    pub fn fovea_libtorch_path() -> *mut c_char;
}
