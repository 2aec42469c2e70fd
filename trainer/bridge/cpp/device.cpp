// Between host and device without waiting: numbers on their way to a device, numbers on their way back, and the gradients that a
// loss has on it. A tensor of the CPU takes the same ways, with nothing to wait for.

#include "common.h"

#include <ATen/Context.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones_like.h>
#include <c10/core/CachingDeviceAllocator.h>
#include <c10/core/DeviceGuard.h>
#include <c10/core/Event.h>
#include <c10/core/impl/VirtualGuardImpl.h>
#include <torch/csrc/autograd/engine.h>
#include <torch/csrc/autograd/function.h>

#include <memory>
#include <optional>

using namespace fovea;

// Values of a tensor on their way to the host.
struct FoveaReadback {
    at::Tensor host;
    // Recorded behind the copy; none on the CPU, where the values are there.
    std::optional<c10::Event> copied;
};

// Numbers of the host: `bytes` of them as `type`, a c10::ScalarType, in `dims` sides.
struct FoveaNumbers {
    const void *data;
    size_t bytes;
    int type;
    const int64_t *sizes;
    size_t dims;
};

extern "C" {

// `device` is a CUDA device's number, or negative for the CPU.
char *fovea_upload(const FoveaNumbers *numbers, int device, at::Tensor **result) {
    return guarded([&] {
        const auto options = at::TensorOptions().dtype(static_cast<at::ScalarType>(numbers->type));
        const bool is_cpu = device < 0;
        // Only from pinned memory does a copy go on while the host does. libtorch gives this memory to nobody else before the copy is
        // done, whoever drops the tensor.
        at::Tensor host = at::empty({numbers->sizes, numbers->dims}, options.pinned_memory(!is_cpu));
        TORCH_CHECK(host.nbytes() == numbers->bytes, numbers->bytes, " bytes do not fill ", host.sizes(), " of ", host.scalar_type());
        if (numbers->bytes > 0) std::memcpy(host.mutable_data_ptr(), numbers->data, numbers->bytes);
        if (!is_cpu) host = host.to(at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(device)), /*non_blocking=*/true);
        *result = new at::Tensor(std::move(host));
    });
}

char *fovea_readback_begin(const at::Tensor *tensor, FoveaReadback **result) {
    return guarded([&] {
        const at::NoGradGuard no_grad;
        const at::Tensor source = tensor->detach().contiguous();
        auto readback = std::make_unique<FoveaReadback>();
        if (source.is_cpu()) {
            readback->host = source;
        } else {
            const c10::DeviceGuard guard(source.device());
            readback->host = at::empty(source.sizes(), source.options().device(at::kCPU).pinned_memory(true));
            readback->host.copy_(source, /*non_blocking=*/true);
            readback->copied.emplace(source.device().type());
            const c10::impl::VirtualGuardImpl device(source.device().type());
            readback->copied->record(device.getStream(source.device()));
        }
        *result = readback.release();
    });
}

// Waits for the copy, and for nothing that was queued after it.
char *fovea_readback_finish(const FoveaReadback *readback, at::Tensor **result) {
    return guarded([&] {
        if (readback->copied) readback->copied->synchronize();
        *result = new at::Tensor(readback->host);
    });
}

void fovea_readback_free(FoveaReadback *readback) { delete readback; }

// Gradients of `loss` times `scale` (may be null, for 1), `count` of them. What does not depend on a parameter is undefined.
char *fovea_backward(const at::Tensor *loss, const at::Tensor *scale, size_t count, Tensors params, at::Tensor **gradients) {
    return guarded([&] {
        using torch::autograd::impl::gradient_edge;
        torch::autograd::edge_list inputs;
        for (size_t i = 0; i < count; ++i) {
            TORCH_CHECK(params[i]->requires_grad(), "parameter ", i, " is not trained");
            inputs.push_back(gradient_edge(*params[i]));
        }
        const at::Tensor seed = scale == nullptr ? at::ones_like(*loss) : scale->to(loss->scalar_type()).expand_as(*loss);
        const auto found = torch::autograd::Engine::get_default_engine().execute(
            {gradient_edge(*loss)}, {seed}, /*keep_graph=*/false, /*create_graph=*/false, /*accumulate_grad=*/false, inputs);
        for (size_t i = 0; i < count; ++i) gradients[i] = new at::Tensor(found[i]);
    });
}

// Gives memory that libtorch keeps for later tensors on CUDA devices back to them. There must be one.
char *fovea_release_cached_memory() {
    return guarded([&] { c10::getDeviceAllocator(at::kCUDA)->emptyCache(); });
}

// Whether products in float32 may be computed from shortened factors (TF32) on CUDA devices: matrix products and convolutions each have
// a setting of their own, and defaults that differ.
char *fovea_set_tf32(bool on) {
    return guarded([&] {
        const auto precision = on ? at::Float32Precision::TF32 : at::Float32Precision::IEEE;
        for (const auto op : {at::Float32Op::MATMUL, at::Float32Op::CONV, at::Float32Op::RNN})
            at::globalContext().setFloat32Precision(at::Float32Backend::CUDA, op, precision);
    });
}

char *fovea_tf32(bool *result) {
    return guarded([&] {
        const auto &context = at::globalContext();
        *result = context.float32Precision(at::Float32Backend::CUDA, at::Float32Op::MATMUL) == at::Float32Precision::TF32 ||
                  context.float32Precision(at::Float32Backend::CUDA, at::Float32Op::CONV) != at::Float32Precision::IEEE;
    });
}

// Fails as libtorch's allocators do (`is_memory`) or in another way, so that a test can see how failures are told apart.
char *fovea_fail(bool is_memory) {
    return guarded([&] {
        TORCH_CHECK_WITH(OutOfMemoryError, !is_memory, "no room for 1 GiB");
        TORCH_CHECK(false, "this text names an out of memory error and is none");
    });
}

} // extern "C"
