//! Settings of the whole process and facts about the machine.

use crate::error::{BridgeError, check};
use crate::ffi;

/// Makes libtorch choose deterministic algorithms (also in oneDNN and cuDNN), or takes that back. Operations that have none then fail.
/// Equal bits need equal numbers of threads too: sums are split between them. On a CUDA device products of matrices also need cuBLAS to
/// be told so by `CUBLAS_WORKSPACE_CONFIG`; libtorch refuses them otherwise.
///
/// # Errors
/// If libtorch refuses.
pub fn set_deterministic(on: bool) -> Result<(), BridgeError> {
    // SAFETY: a plain value.
    check("set_deterministic", unsafe { ffi::fovea_set_deterministic(on) })
}

/// Whether CUDA devices may compute products in float32 from factors of 10 bits of mantissa (TF32), in matrix products and in
/// convolutions, where libtorch's own default allows it. It is faster and less exact.
///
/// # Errors
/// If libtorch refuses.
pub fn set_tf32(on: bool) -> Result<(), BridgeError> {
    // SAFETY: a plain value.
    check("set_tf32", unsafe { ffi::fovea_set_tf32(on) })
}

/// Whether a product in float32 may be such on a CUDA device, as libtorch is set.
///
/// # Errors
/// If libtorch refuses.
pub fn tf32() -> Result<bool, BridgeError> {
    let mut on = false;
    // SAFETY: the out-pointer is valid for the call.
    check("tf32", unsafe { ffi::fovea_tf32(&raw mut on) })?;
    Ok(on)
}

/// Whether the CPU multiplies bf16 in hardware: it has AVX512_BF16 or AMX_BF16, which is what oneDNN's bf16 kernels are written for.
/// A CPU with AVX-512 but neither also runs bf16, by widening to f32, and gains nothing; it counts as false, as does any other CPU.
pub fn bf16_supported() -> bool {
    [c"avx512_bf16", c"amx_bf16"].into_iter().any(|name| {
        let mut has = false;
        // SAFETY: a NUL-terminated name and an out-pointer that is valid for the call.
        let message = unsafe { ffi::fovea_cpu_has(name.as_ptr(), &raw mut has) };
        check("bf16_supported", message).is_ok() && has
    })
}

/// Sets an environment variable of this process, which C code in it and programs that it starts then see. Only for the first lines
/// of `main`: C code reads the environment whenever it likes, so it may be changed only while there is no other thread.
///
/// # Errors
/// [`BridgeError::Input`] if there is another thread or that cannot be told (no `/proc`), or for a name or value that no variable
/// can have. Nothing is changed then.
pub fn set_variable(name: &str, value: &str) -> Result<(), BridgeError> {
    let refuse = |problem: String| Err(BridgeError::Input { call: "set_variable", problem });
    if name.is_empty() || name.contains(['=', '\0']) || value.contains('\0') {
        return refuse(format!(
            "{name:?} = {value:?} cannot be a variable; it must have a name without '=', and no NUL"
        ));
    }
    match std::fs::read_dir("/proc/self/task").map(Iterator::count) {
        Ok(1) => {}
        Ok(threads) => {
            return refuse(format!("{name} cannot be set: the process has {threads} threads, and must have one"));
        }
        Err(error) => {
            return refuse(format!("{name} cannot be set: the threads in /proc/self/task cannot be counted: {error}"));
        }
    }
    // SAFETY: the thread that is here is the only one, so nobody reads or changes the environment meanwhile.
    unsafe { std::env::set_var(name, value) };
    Ok(())
}

/// Keeps memory that tensors give back, instead of returning it to the system and faulting it in again at the next step. The process
/// then never shrinks below its peak. Call it once, before the first large tensor, and compute on the first thread: glibc gives other
/// threads heaps of 64 MiB and what is larger straight from the system, as before. True where it took effect (Linux with glibc),
/// otherwise nothing changes.
///
/// Measured on 2 cores of an EPYC with AVX-512, one thread: making and filling a tensor of 40 MB takes 28 ms without and 1.5 ms with
/// it, because no page is faulted in again; a 3x3 convolution of 16x64x56x56 with its gradients goes from 177 to 115 ms.
pub fn keep_freed_memory() -> bool {
    // SAFETY: only changes the allocator's parameters, which it guards with its own lock.
    unsafe { ffi::fovea_keep_freed_memory() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Device, Kind, Tensor};

    #[test]
    fn deterministic_mode_refuses_what_has_no_deterministic_form() {
        let x = Tensor::ones([1, 1, 2, 2], (Kind::Float, Device::Cpu));
        let indices = Tensor::from_slice(&[0i64, 2, 8, 10]).view([1, 1, 2, 2]);
        let unpool = || x.f_max_unpool2d(&indices, [4, 4]).map(|y| y.sum(Kind::Float).double_value(&[]));
        assert_eq!(unpool().expect("allowed"), 4.0);
        set_deterministic(true).expect("a setting");
        let refused = unpool().expect_err("no deterministic form").to_string();
        assert!(refused.contains("deterministic"), "{refused}");
        set_deterministic(false).expect("a setting");
        assert_eq!(unpool().expect("allowed again"), 4.0);
    }

    #[test]
    fn float32_is_float32_where_that_is_asked_for() {
        // libtorch's own default shortens the factors of convolutions.
        assert!(tf32().expect("a setting"));
        set_tf32(false).expect("a setting");
        assert!(!tf32().expect("a setting"));
        set_tf32(true).expect("a setting");
        assert!(tf32().expect("a setting"));
    }

    #[test]
    fn variables_are_set_by_the_only_thread() {
        // Tests run on threads of their own, so there are at least two.
        let refused = set_variable("FOVEA_TEST_VARIABLE", "1").expect_err("two threads").to_string();
        assert!(refused.contains("FOVEA_TEST_VARIABLE") && refused.contains("threads"), "{refused}");
        assert_eq!(std::env::var_os("FOVEA_TEST_VARIABLE"), None);
        for (name, value) in [("", "1"), ("A=B", "1"), ("A\0", "1"), ("A", "\0")] {
            let refused = set_variable(name, value).expect_err("no variable").to_string();
            assert!(refused.contains("cannot be a variable"), "{refused}");
        }
    }

    #[test]
    fn bf16_agrees_with_what_the_processor_says() {
        // Asked of the processor, not of /proc/cpuinfo: scripts/isa/run hides instruction sets from a process. Every processor
        // with AMX_BF16 has AVX512_BF16.
        #[cfg(target_arch = "x86_64")]
        assert_eq!(bf16_supported(), std::arch::is_x86_feature_detected!("avx512bf16"));
    }
}
