//! Declarations of `cpp/`. A function that returns `*mut c_char` returns null for success or a message to free.

use std::ffi::{c_char, c_int};
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
    ) -> *mut c_char;
    pub fn fovea_fused_adam(lists: *const AdamLists, step: *const Adam) -> *mut c_char;

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

    pub fn fovea_set_deterministic(on: bool) -> *mut c_char;
    pub fn fovea_cpu_has(name: *const c_char, result: *mut bool) -> *mut c_char;
    pub fn fovea_keep_freed_memory() -> bool;

    pub fn fovea_open_library(path: *const c_char) -> *mut c_char;
    pub fn fovea_libtorch_path() -> *mut c_char;
}
