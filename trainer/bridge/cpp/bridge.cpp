// What tch does not expose of libtorch, as C functions. Every function that can fail returns null on success and otherwise a message
// that the caller gives back to fovea_free_message; no C++ exception leaves this file. Tensors pass as tch's `at::Tensor*`.

#include "common.h"

#include <ATen/Context.h>
#include <ATen/autocast_mode.h>
#include <ATen/core/Tensor.h>
#include <ATen/cpu/Utils.h>
#include <ATen/ops/_amp_foreach_non_finite_check_and_unscale.h>
#include <ATen/ops/_fused_adam.h>
#include <ATen/ops/_fused_adamw.h>
#include <ATen/ops/_fused_sgd.h>
#include <ATen/ops/empty_like.h>
#include <ATen/ops/full.h>

#include <cstdlib>
#include <optional>
#include <vector>

#ifdef __linux__
#include <dlfcn.h>
#endif
#ifdef __GLIBC__
#include <malloc.h>
#endif

using namespace fovea;

namespace {

// Whether element k in memory is the same element of both. Strides of sides of length 1 say nothing.
bool same_layout(const at::Tensor &a, const at::Tensor &b) {
    if (a.sizes() != b.sizes()) return false;
    for (int64_t d = 0; d < a.dim(); ++d)
        if (a.size(d) != 1 && a.stride(d) != b.stride(d)) return false;
    return true;
}

// The fused kernels walk the memory of all lists side by side and check neither layout nor type.
void check_state(const std::vector<at::Tensor> &params, const std::vector<at::Tensor> &state, const char *name) {
    TORCH_CHECK(state.size() == params.size(), name, " has ", state.size(), " tensors for ", params.size(), " parameters");
    for (size_t i = 0; i < params.size(); ++i) {
        TORCH_CHECK(params[i].is_non_overlapping_and_dense(), "parameter ", i, " is a view with gaps; make it contiguous");
        TORCH_CHECK(state[i].scalar_type() == params[i].scalar_type() && state[i].device() == params[i].device(), name, " ", i,
                    " is ", state[i].scalar_type(), " on ", state[i].device(), " and its parameter ", params[i].scalar_type(),
                    " on ", params[i].device());
        TORCH_CHECK(same_layout(params[i], state[i]), name, " ", i, " has size ", state[i].sizes(), " and strides ",
                    state[i].strides(), ", and its parameter ", params[i].sizes(), " and ", params[i].strides());
    }
}

std::vector<at::Tensor> aligned_gradients(const std::vector<at::Tensor> &params, Tensors grads, size_t count) {
    std::vector<at::Tensor> result = list(grads, count);
    for (size_t i = 0; i < count; ++i) {
        TORCH_CHECK(result[i].defined(), "parameter ", i, " has no gradient");
        // Autograd keeps the parameter's layout, but a gradient that was computed by hand need not.
        if (result[i].sizes() == params[i].sizes() && !same_layout(params[i], result[i]))
            result[i] = at::empty_like(params[i]).copy_(result[i]);
    }
    check_state(params, result, "gradient");
    return result;
}

} // namespace

extern "C" {

void fovea_free_message(char *text) { std::free(text); }

// ---- autocast; `device` is a c10::DeviceType: 0 CPU, 1 CUDA

char *fovea_autocast_enter(int device, int dtype, bool enabled, bool *was_enabled, int *was_dtype) {
    return guarded([&] {
        const auto type = static_cast<at::DeviceType>(device);
        *was_enabled = at::autocast::is_autocast_enabled(type);
        *was_dtype = static_cast<int>(at::autocast::get_autocast_dtype(type));
        at::autocast::set_autocast_dtype(type, static_cast<at::ScalarType>(dtype));
        at::autocast::set_autocast_enabled(type, enabled);
        at::autocast::increment_nesting();
    });
}

char *fovea_autocast_leave(int device, bool was_enabled, int was_dtype) {
    return guarded([&] {
        const auto type = static_cast<at::DeviceType>(device);
        // The cache holds casts of weights; they are stale once an optimizer has stepped.
        if (at::autocast::decrement_nesting() == 0) at::autocast::clear_cache();
        at::autocast::set_autocast_enabled(type, was_enabled);
        at::autocast::set_autocast_dtype(type, static_cast<at::ScalarType>(was_dtype));
    });
}

// ---- memory layout and ownership

char *fovea_channels_last(const at::Tensor *tensor, at::Tensor **result) {
    return guarded([&] { *result = new at::Tensor(tensor->contiguous(at::MemoryFormat::ChannelsLast)); });
}

char *fovea_is_channels_last(const at::Tensor *tensor, bool *result) {
    return guarded([&] { *result = tensor->is_contiguous(at::MemoryFormat::ChannelsLast); });
}

size_t fovea_use_count(const at::Tensor *tensor) { return tensor->defined() ? tensor->use_count() : 0; }

size_t fovea_storage_use_count(const at::Tensor *tensor) {
    return tensor->defined() && tensor->has_storage() ? tensor->storage().use_count() : 0;
}

// ---- fused optimizer steps

struct FoveaSgd {
    double lr, momentum, dampening, weight_decay;
    bool nesterov, first_step;
};

// Whether a step is left out, which the device alone knows: `now` is 1 where this one is, `before` counts those before it. Both are null
// where none ever is.
struct FoveaSkip {
    const at::Tensor *now, *before;

    std::optional<at::Tensor> found_inf() const { return now == nullptr ? std::nullopt : std::optional(*now); }
};

// Divides gradients by a scale and sets `found_inf` to 1 where one of them holds a value that is not finite, all in one pass.
char *fovea_unscale(size_t count, Tensors grads, const at::Tensor *inverse_scale, at::Tensor *found_inf) {
    return guarded([&] {
        if (count == 0) return;
        const at::NoGradGuard no_grad;
        at::_amp_foreach_non_finite_check_and_unscale_(list(grads, count), *found_inf, *inverse_scale);
    });
}

char *fovea_fused_sgd(size_t count, Tensors params, Tensors grads, Tensors buffers, const FoveaSgd *step, FoveaSkip skip) {
    return guarded([&] {
        if (count == 0) return;
        at::NoGradGuard no_grad;
        const auto p = list(params, count);
        const auto g = aligned_gradients(p, grads, count);
        std::vector<at::Tensor> b;
        if (step->momentum != 0) {
            b = list(buffers, count);
            check_state(p, b, "momentum buffer");
        }
        at::_fused_sgd_(p, g, b, step->weight_decay, step->momentum, step->lr, step->dampening, step->nesterov,
                        /*maximize=*/false, step->first_step, /*grad_scale=*/{}, skip.found_inf());
    });
}

struct FoveaAdam {
    double lr, beta1, beta2, eps, weight_decay, step;
    bool decoupled;
};

// `count` tensors each; `maxima` may be null.
struct FoveaAdamLists {
    size_t count;
    Tensors params, grads, averages, squares, maxima;
};

char *fovea_fused_adam(const FoveaAdamLists *lists, const FoveaAdam *step, FoveaSkip skip) {
    return guarded([&] {
        const size_t count = lists->count;
        if (count == 0) return;
        at::NoGradGuard no_grad;
        const auto p = list(lists->params, count);
        const auto g = aligned_gradients(p, lists->grads, count);
        const auto a = list(lists->averages, count);
        const auto s = list(lists->squares, count);
        check_state(p, a, "first moment");
        check_state(p, s, "second moment");
        const bool amsgrad = lists->maxima != nullptr;
        std::vector<at::Tensor> m;
        if (amsgrad) {
            m = list(lists->maxima, count);
            check_state(p, m, "largest second moment");
        }
        // All parameters step together, so they share one counter; it lies where the kernel of that device reads it.
        at::Tensor number = at::full({}, step->step, p[0].options().dtype(at::kFloat).requires_grad(false));
        if (skip.before != nullptr) number.sub_(*skip.before);
        const std::vector<at::Tensor> steps(count, number);
        if (step->decoupled)
            at::_fused_adamw_(p, g, a, s, m, steps, step->lr, step->beta1, step->beta2, step->weight_decay, step->eps, amsgrad,
                              /*maximize=*/false, /*grad_scale=*/{}, skip.found_inf());
        else
            at::_fused_adam_(p, g, a, s, m, steps, step->lr, step->beta1, step->beta2, step->weight_decay, step->eps, amsgrad,
                             /*maximize=*/false, /*grad_scale=*/{}, skip.found_inf());
    });
}

// ---- process-wide settings

char *fovea_set_deterministic(bool on) {
    return guarded([&] {
        auto &context = at::globalContext();
        context.setDeterministicAlgorithms(on, /*warn_only=*/false);
        context.setDeterministicCuDNN(on);
        context.setDeterministicMkldnn(on);
        if (on) context.setBenchmarkCuDNN(false);
        // Filling every fresh tensor with NaN only finds bugs of libtorch itself, and costs a pass over memory.
        context.setDeterministicFillUninitializedMemory(false);
    });
}

char *fovea_cpu_has(const char *name, bool *result) {
    return guarded([&] {
        const auto capabilities = at::cpu::get_cpu_capabilities();
        const auto found = capabilities.find(name);
        *result = found != capabilities.end() && found->second.isBool() && found->second.toBool();
    });
}

bool fovea_keep_freed_memory() {
#ifdef __GLIBC__
    // The mmap threshold cannot be raised above 32 MiB, but mmap can be forbidden; what is freed at the top is then never returned.
    return mallopt(M_MMAP_MAX, 0) == 1 && mallopt(M_TRIM_THRESHOLD, -1) == 1 && mallopt(M_TOP_PAD, 64 << 20) == 1;
#else
    return false;
#endif
}

// ---- libraries opened at run time

char *fovea_open_library(const char *path) {
#ifdef __linux__
    // Never closed: libtorch keeps pointers into it.
    return dlopen(path, RTLD_NOW | RTLD_GLOBAL) != nullptr ? nullptr : message(dlerror());
#else
    return message("opening a CUDA library at run time is supported on Linux only");
#endif
}

// The path libtorch_cpu.so was loaded from, to be freed by the caller, or null.
char *fovea_libtorch_path() {
#ifdef __linux__
    Dl_info info;
    void *inside = reinterpret_cast<void *>(&at::globalContext);
    if (dladdr(inside, &info) != 0 && info.dli_fname != nullptr) return message(info.dli_fname);
#endif
    return nullptr;
}

} // extern "C"
