// libtorch's threads. The loop of at::parallel_for is in a header, so it would be compiled here, sequentially without -fopenmp and with
// it against the OpenMP of this compiler rather than libtorch's. The loop of a TensorIterator is compiled into libtorch.

#include "common.h"

#include <ATen/TensorIterator.h>
#include <ATen/ops/empty.h>

namespace fovea {

void for_ranges(int64_t tasks, const std::function<void(int64_t, int64_t)> &body) {
    if (tasks <= 0) return;
    if (tasks == 1) return body(0, 1);
    at::NoGradGuard no_grad;
    // Never read or written: where a range starts in it says which range it is.
    const at::Tensor places = at::empty({tasks}, at::TensorOptions().dtype(at::kByte));
    const auto *first = static_cast<const char *>(places.const_data_ptr());
    auto iterator = at::TensorIterator::borrowing_nullary_op(places);
    iterator.for_each(
        [&](char **data, const int64_t *, int64_t size) {
            const int64_t begin = data[0] - first;
            body(begin, begin + size);
        },
        /*grain_size=*/1);
}

} // namespace fovea
