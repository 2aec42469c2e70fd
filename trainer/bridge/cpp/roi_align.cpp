// RoIAlign over a pyramid of levels on the CPU, and its gradient.
//
// A sample's bilinear weights are products of weights along y and along x, and so is whether it lies outside. A bin is thus a sum over
// (taps along y) x (taps along x), where samples that fall between the same two pixels share their taps. Contiguous levels are worked
// plane by plane: rows are combined along x without gaps, then the taps along x are picked. Channels-last levels are worked roi by roi
// (backwards: block of channels by block of channels), and every tap combines a run of channels. Each task writes only what is its
// own and goes through its rois in their order, so that the result does not depend on the threads.

#include "common.h"

#include <ATen/ops/empty.h>
#include <c10/util/BFloat16.h>
#include <c10/util/Half.h>
#include <torch/csrc/autograd/functions/utils.h>
#include <torch/version.h>

#include <algorithm>
#include <array>
#include <memory>

namespace fovea {

struct FoveaRoiAlign {
    int64_t output, sampling;
    const double *scales;
};

struct FoveaLevels {
    size_t count;
    Tensors tensors;
};

namespace {

// Channels that a channels-last kernel works on at once: all bins of so many fit the first cache.
constexpr int64_t CHANNELS = 64;

struct Level {
    int64_t images, channels, height, width;
    at::ScalarType type;
    bool planes; // worked plane by plane; channels-last otherwise

    explicit Level(const at::Tensor &level)
        : images(level.size(0)), channels(level.size(1)), height(level.size(2)), width(level.size(3)), type(level.scalar_type()),
          planes(level.is_contiguous() || !level.is_contiguous(at::MemoryFormat::ChannelsLast)) {}
    int64_t plane() const { return height * width; }
    at::MemoryFormat order() const { return planes ? at::MemoryFormat::Contiguous : at::MemoryFormat::ChannelsLast; }
};

// Taps of a roi along one side: `count[bin]` of them from `bin * stride`, all in [low, high).
template <typename A> struct Side {
    const int32_t *count, *index;
    const A *weight;
    int64_t stride, low, high;
};

// What forward and backward need to know of the rois.
template <typename A> struct Plan {
    int64_t output, stride, images, rois;
    std::vector<int32_t> count, index, range; // of (roi, side): output, output * stride, 2
    std::vector<A> weight;
    std::vector<int64_t> image;        // of roi
    std::vector<int64_t> order, first; // rois by (level, image) and within by number; where those of level * images + image start

    int64_t bins() const { return output * output; }

    Side<A> side(int64_t roi, int64_t side) const {
        const int64_t s = 2 * roi + side;
        return {&count[s * output], &index[s * output * stride], &weight[s * output * stride], stride, range[2 * s], range[2 * s + 1]};
    }
};

// Taps of the samples of all bins along a side of `size` pixels. The order of operations is torchvision's, so that a sample near the
// border falls on the same side of it. NaN lies outside.
template <typename A>
void place_taps(A start, A bin_size, int64_t size, int64_t sampling, Plan<A> &plan, int64_t s) {
    int32_t *count = &plan.count[s * plan.output], *range = &plan.range[2 * s];
    range[0] = static_cast<int32_t>(size), range[1] = 0;
    for (int64_t bin = 0; bin < plan.output; ++bin) {
        int32_t *index = &plan.index[(s * plan.output + bin) * plan.stride];
        A *weight = &plan.weight[(s * plan.output + bin) * plan.stride];
        int32_t taps = 0;
        const auto add = [&](int32_t pixel, A share) {
            share /= static_cast<A>(sampling);
            for (int32_t t = std::max(0, taps - 2); t < taps; ++t)
                if (index[t] == pixel) return void(weight[t] += share);
            index[taps] = pixel, weight[taps] = share, ++taps;
            range[0] = std::min(range[0], pixel), range[1] = std::max(range[1], pixel + 1);
        };
        for (int64_t sample = 0; sample < sampling; ++sample) {
            A at = start + static_cast<A>(bin) * bin_size + static_cast<A>(sample + .5f) * bin_size / static_cast<A>(sampling);
            if (!(at >= -1 && at <= static_cast<A>(size))) continue;
            at = std::max(at, A(0));
            const auto low = std::min(static_cast<int32_t>(at), static_cast<int32_t>(size - 1));
            if (low == size - 1) {
                add(low, 1);
            } else {
                add(low, 1 - (at - static_cast<A>(low)));
                add(low + 1, at - static_cast<A>(low));
            }
        }
        count[bin] = taps;
    }
}

template <typename A>
Plan<A> make_plan(const std::vector<Level> &levels, const float *rois, const int64_t *level_of, int64_t count, const FoveaRoiAlign &p) {
    Plan<A> plan{p.output, 2 * p.sampling, levels[0].images, count, {}, {}, {}, {}, {}, {}, {}};
    plan.count.resize(count * 2 * p.output);
    plan.index.resize(plan.count.size() * plan.stride);
    plan.weight.resize(plan.index.size());
    plan.range.resize(count * 4);
    plan.image.resize(count);
    plan.first.assign(levels.size() * plan.images + 1, 0);
    const auto group = [&](int64_t roi) { return level_of[roi] * plan.images + plan.image[roi]; };
    for (int64_t roi = 0; roi < count; ++roi) {
        const float image = rois[roi * 5];
        TORCH_CHECK(image >= 0 && image < static_cast<float>(plan.images), "roi ", roi, " names image ", image, " of ", plan.images);
        TORCH_CHECK(level_of[roi] >= 0 && level_of[roi] < static_cast<int64_t>(levels.size()), "roi ", roi, " names level ",
                    level_of[roi], " of ", levels.size());
        plan.image[roi] = static_cast<int64_t>(image);
        ++plan.first[group(roi) + 1];
    }
    for (size_t g = 1; g < plan.first.size(); ++g) plan.first[g] += plan.first[g - 1];
    std::vector<int64_t> next(plan.first.begin(), plan.first.end() - 1);
    plan.order.resize(count);
    for (int64_t roi = 0; roi < count; ++roi) plan.order[next[group(roi)]++] = roi;
    for_ranges(count, [&](int64_t begin, int64_t end) {
        for (int64_t roi = begin; roi < end; ++roi) {
            const Level &level = levels[level_of[roi]];
            const A scale = static_cast<A>(p.scales[level_of[roi]]);
            const float *r = rois + roi * 5;
            const A left = static_cast<A>(r[1]) * scale, top = static_cast<A>(r[2]) * scale;
            const A width = std::max(static_cast<A>(r[3]) * scale - left, A(1));
            const A height = std::max(static_cast<A>(r[4]) * scale - top, A(1));
            place_taps(top, height / static_cast<A>(p.output), level.height, p.sampling, plan, 2 * roi);
            place_taps(left, width / static_cast<A>(p.output), level.width, p.sampling, plan, 2 * roi + 1);
        }
    });
    return plan;
}

// A run of `length` numbers: the weighted sum of N runs that start `offset` from `base`, put into `sum` or added to it.
template <bool FIRST, int N, typename S, typename A>
INLINED void combine_some(A *RESTRICT sum, const S *RESTRICT base, const int64_t *offset, const A *weight, int64_t length) {
    const S *run[N];
    A w[N];
    for (int n = 0; n < N; ++n) run[n] = base + offset[n], w[n] = weight[n];
    for (int64_t i = 0; i < length; ++i) {
        A value = FIRST ? A(0) : sum[i];
        for (int n = 0; n < N; ++n) value += w[n] * static_cast<A>(run[n][i]);
        sum[i] = value;
    }
}

template <bool FIRST, typename S, typename A>
INLINED void combine_up_to_4(A *sum, const S *base, const int64_t *offset, const A *weight, int64_t count, int64_t length) {
    switch (count) {
    case 1: return combine_some<FIRST, 1>(sum, base, offset, weight, length);
    case 2: return combine_some<FIRST, 2>(sum, base, offset, weight, length);
    case 3: return combine_some<FIRST, 3>(sum, base, offset, weight, length);
    default: return combine_some<FIRST, 4>(sum, base, offset, weight, length);
    }
}

// The weighted sum of `count` runs.
template <typename S, typename A>
INLINED void combine(A *sum, const S *base, const int64_t *offset, const A *weight, int64_t count, int64_t length) {
    if (count == 0) {
        for (int64_t i = 0; i < length; ++i) sum[i] = 0;
        return;
    }
    combine_up_to_4<true>(sum, base, offset, weight, std::min<int64_t>(count, 4), length);
    for (int64_t done = 4; done < count; done += 4)
        combine_up_to_4<false>(sum, base, offset + done, weight + done, std::min<int64_t>(count - done, 4), length);
}

template <typename A> INLINED void add_scaled(A *RESTRICT sum, const A *RESTRICT run, A weight, int64_t length) {
    for (int64_t i = 0; i < length; ++i) sum[i] += weight * run[i];
}

// One level, seen by the tasks that work on it. In the forward direction `level` is read and `pooled` [rois, channels, bins] written;
// backwards the gradient of `pooled` is read and that of the level, in the same order in memory, written.
template <typename L, typename O, typename A> struct Job {
    const Plan<A> &plan;
    const Level &shape;
    int64_t number;
    L *level;
    O *pooled;

    const int64_t *rois_from(int64_t image) const { return plan.order.data() + plan.first[number * plan.images + image]; }
    int64_t count(int64_t image) const {
        return plan.first[number * plan.images + image + 1] - plan.first[number * plan.images + image];
    }
    O *pooled_of(int64_t roi, int64_t channel) const { return pooled + (roi * shape.channels + channel) * plan.bins(); }
};

// Tasks: planes, as channel * images + image, so that a range of them has rois of all images.
template <typename S, typename A> INLINED void planes_forward(const Job<const S, S, A> &job, int64_t begin, int64_t end) {
    const Plan<A> &plan = job.plan;
    const int64_t width = job.shape.width;
    const std::unique_ptr<A[]> line(new A[width]);
    const std::unique_ptr<int64_t[]> offsets(new int64_t[plan.stride]);
    for (int64_t task = begin; task < end; ++task) {
        const int64_t channel = task / plan.images, image = task % plan.images;
        const S *plane = job.level + (image * job.shape.channels + channel) * job.shape.plane();
        for (int64_t r = 0; r < job.count(image); ++r) {
            const int64_t roi = job.rois_from(image)[r];
            const Side<A> y = plan.side(roi, 0), x = plan.side(roi, 1);
            const int64_t length = std::max<int64_t>(x.high - x.low, 0);
            S *bin = job.pooled_of(roi, channel);
            for (int64_t row = 0; row < plan.output; ++row) {
                for (int64_t t = 0; t < y.count[row]; ++t) offsets[t] = y.index[row * y.stride + t] * width + x.low;
                combine(line.get(), plane, offsets.get(), y.weight + row * y.stride, y.count[row], length);
                const A *from = line.get() - x.low;
                for (int64_t column = 0; column < plan.output; ++column) {
                    const int32_t *index = x.index + column * x.stride;
                    const A *weight = x.weight + column * x.stride;
                    A sum = 0;
                    for (int64_t t = 0; t < x.count[column]; ++t) sum += weight[t] * from[index[t]];
                    *bin++ = static_cast<S>(sum);
                }
            }
        }
    }
}

template <typename A> INLINED void planes_backward(const Job<A, const A, A> &job, int64_t begin, int64_t end) {
    const Plan<A> &plan = job.plan;
    const int64_t width = job.shape.width;
    const std::unique_ptr<A[]> line(new A[width]);
    for (int64_t task = begin; task < end; ++task) {
        const int64_t channel = task / plan.images, image = task % plan.images;
        A *plane = job.level + (image * job.shape.channels + channel) * job.shape.plane();
        std::fill(plane, plane + job.shape.plane(), A(0));
        for (int64_t r = 0; r < job.count(image); ++r) {
            const int64_t roi = job.rois_from(image)[r];
            const Side<A> y = plan.side(roi, 0), x = plan.side(roi, 1);
            const int64_t length = std::max<int64_t>(x.high - x.low, 0);
            const A *bin = job.pooled_of(roi, channel);
            for (int64_t row = 0; row < plan.output; ++row, bin += plan.output) {
                std::fill(line.get(), line.get() + length, A(0));
                A *to = line.get() - x.low;
                for (int64_t column = 0; column < plan.output; ++column) {
                    const int32_t *index = x.index + column * x.stride;
                    const A *weight = x.weight + column * x.stride;
                    for (int64_t t = 0; t < x.count[column]; ++t) to[index[t]] += weight[t] * bin[column];
                }
                for (int64_t t = 0; t < y.count[row]; ++t)
                    add_scaled(plane + y.index[row * y.stride + t] * width + x.low, line.get(), y.weight[row * y.stride + t], length);
            }
        }
    }
}

// Tasks: rois, in the order of the plan from the level's first on.
template <typename S, typename A> INLINED void channels_last_forward(const Job<const S, S, A> &job, int64_t begin, int64_t end) {
    const Plan<A> &plan = job.plan;
    const int64_t channels = job.shape.channels, most = plan.stride * plan.stride;
    const std::unique_ptr<A[]> tile(new A[plan.bins() * CHANNELS]);
    const std::unique_ptr<int64_t[]> offsets(new int64_t[plan.bins() * most]), counts(new int64_t[plan.bins()]);
    const std::unique_ptr<A[]> weights(new A[plan.bins() * most]);
    for (int64_t task = begin; task < end; ++task) {
        const int64_t roi = job.rois_from(0)[task];
        const Side<A> y = plan.side(roi, 0), x = plan.side(roi, 1);
        for (int64_t bin = 0; bin < plan.bins(); ++bin) {
            const int64_t row = bin / plan.output, column = bin % plan.output;
            int64_t n = bin * most;
            for (int64_t v = row * y.stride; v < row * y.stride + y.count[row]; ++v)
                for (int64_t u = column * x.stride; u < column * x.stride + x.count[column]; ++u, ++n) {
                    offsets[n] = (y.index[v] * job.shape.width + x.index[u]) * channels;
                    weights[n] = y.weight[v] * x.weight[u];
                }
            counts[bin] = n - bin * most;
        }
        const S *level = job.level + plan.image[roi] * job.shape.plane() * channels;
        for (int64_t channel = 0; channel < channels; channel += CHANNELS) {
            const int64_t length = std::min(CHANNELS, channels - channel);
            for (int64_t bin = 0; bin < plan.bins(); ++bin)
                combine(&tile[bin * CHANNELS], level + channel, &offsets[bin * most], &weights[bin * most], counts[bin], length);
            S *pooled = job.pooled_of(roi, channel);
            for (int64_t c = 0; c < length; ++c)
                for (int64_t bin = 0; bin < plan.bins(); ++bin) *pooled++ = static_cast<S>(tile[bin * CHANNELS + c]);
        }
    }
}

// Tasks: blocks of channels, as block * images + image. The level's gradient starts at 0.
template <typename A> INLINED void channels_last_backward(const Job<A, const A, A> &job, int64_t begin, int64_t end) {
    const Plan<A> &plan = job.plan;
    const int64_t channels = job.shape.channels;
    const std::unique_ptr<A[]> tile(new A[plan.bins() * CHANNELS]);
    for (int64_t task = begin; task < end; ++task) {
        const int64_t channel = task / plan.images * CHANNELS, image = task % plan.images;
        const int64_t length = std::min(CHANNELS, channels - channel);
        A *level = job.level + image * job.shape.plane() * channels + channel;
        for (int64_t r = 0; r < job.count(image); ++r) {
            const int64_t roi = job.rois_from(image)[r];
            const Side<A> y = plan.side(roi, 0), x = plan.side(roi, 1);
            const A *pooled = job.pooled_of(roi, channel);
            for (int64_t c = 0; c < length; ++c)
                for (int64_t bin = 0; bin < plan.bins(); ++bin) tile[bin * CHANNELS + c] = *pooled++;
            for (int64_t bin = 0; bin < plan.bins(); ++bin) {
                const int64_t row = bin / plan.output, column = bin % plan.output;
                for (int64_t v = row * y.stride; v < row * y.stride + y.count[row]; ++v)
                    for (int64_t u = column * x.stride; u < column * x.stride + x.count[column]; ++u)
                        add_scaled(level + (y.index[v] * job.shape.width + x.index[u]) * channels, &tile[bin * CHANNELS],
                                   y.weight[v] * x.weight[u], length);
            }
        }
    }
}

template <typename S, typename A> using Forward = Job<const S, S, A>;
template <typename A> using Backward = Job<A, const A, A>;

#define INSTRUCTION_SETS(NAME, JOB, BODY)                                                                                            \
    MULTIVERSION void NAME(const JOB &job, int64_t begin, int64_t end) { BODY(job, begin, end); }
#define FORWARD(S, A)                                                                                                                \
    using Forward_##S = Forward<S, A>;                                                                                               \
    INSTRUCTION_SETS(run_planes, Forward_##S, planes_forward)                                                                        \
    INSTRUCTION_SETS(run_channels_last, Forward_##S, channels_last_forward)
#define BACKWARD(A)                                                                                                                  \
    INSTRUCTION_SETS(run_planes, Backward<A>, planes_backward)                                                                       \
    INSTRUCTION_SETS(run_channels_last, Backward<A>, channels_last_backward)
using c10::BFloat16;
using c10::Half;
FORWARD(float, float)
FORWARD(double, double)
FORWARD(BFloat16, float)
FORWARD(Half, float)
BACKWARD(float)
BACKWARD(double)

template <typename S, typename A>
at::Tensor pool(const std::vector<at::Tensor> &tensors, const std::vector<Level> &levels, const Plan<A> &plan) {
    const int64_t channels = levels[0].channels;
    at::Tensor pooled = at::empty({plan.rois, channels, plan.output, plan.output}, tensors[0].options().requires_grad(false));
    for (size_t l = 0; l < levels.size(); ++l) {
        const at::Tensor tensor = tensors[l].contiguous(levels[l].order());
        const Forward<S, A> job{plan, levels[l], static_cast<int64_t>(l), tensor.const_data_ptr<S>(), pooled.mutable_data_ptr<S>()};
        if (levels[l].planes)
            for_ranges(channels * plan.images, [&](int64_t begin, int64_t end) { run_planes(job, begin, end); });
        else
            for_ranges(plan.first[(l + 1) * plan.images] - plan.first[l * plan.images],
                       [&](int64_t begin, int64_t end) { run_channels_last(job, begin, end); });
    }
    return pooled;
}

template <typename A> struct RoiAlignBackward : public torch::autograd::Node {
    std::vector<Level> levels;
    std::unique_ptr<const Plan<A>> plan;

    torch::autograd::variable_list apply(torch::autograd::variable_list &&grads) override {
        torch::autograd::variable_list result(levels.size());
        if (!grads[0].defined()) return result;
        TORCH_CHECK(plan != nullptr, "roi_align: the graph was freed by an earlier backward pass; keep it to go through it again");
        TORCH_CHECK(!at::GradMode::is_enabled() || !grads[0].requires_grad(), "roi_align has no second derivative");
        const at::NoGradGuard no_grad;
        const at::Tensor pooled = grads[0].to(c10::CppTypeToScalarType<A>::value).contiguous();
        for (size_t l = 0; l < levels.size(); ++l)
            if (task_should_compute_output(l)) result[l] = level_gradient(l, pooled).to(levels[l].type);
        return result;
    }

    at::Tensor level_gradient(size_t l, const at::Tensor &pooled) const {
        const Level &level = levels[l];
        // A task that has whole planes clears them itself, so that they are in its cache when it adds to them.
        const auto options = pooled.options().memory_format(level.order());
        const std::array<int64_t, 4> sizes = {level.images, level.channels, level.height, level.width};
        const at::Tensor gradient = level.planes ? at::empty(sizes, options) : at::empty(sizes, options).zero_();
        const Backward<A> job{*plan, level, static_cast<int64_t>(l), gradient.mutable_data_ptr<A>(), pooled.const_data_ptr<A>()};
        if (level.planes)
            for_ranges(level.channels * level.images, [&](int64_t begin, int64_t end) { run_planes(job, begin, end); });
        else
            for_ranges((level.channels + CHANNELS - 1) / CHANNELS * level.images,
                       [&](int64_t begin, int64_t end) { run_channels_last(job, begin, end); });
        return gradient;
    }

    std::string name() const override { return "RoiAlignBackward"; }
    void release_variables() override { plan.reset(); }
};

// libtorch 2.11 holds the nodes of the autograd graph by shared_ptr, 2.13 by intrusive_ptr.
template <typename N> auto make_node() {
#if TORCH_VERSION_MAJOR == 2 && TORCH_VERSION_MINOR < 12
    return std::make_shared<N>();
#else
    return c10::make_intrusive<N>();
#endif
}

template <typename S, typename A>
at::Tensor run(const std::vector<at::Tensor> &tensors, const at::Tensor &rois, const at::Tensor &level_of, const FoveaRoiAlign &p) {
    const bool differentiate = torch::autograd::compute_requires_grad(tensors);
    std::vector<Level> levels(tensors.begin(), tensors.end());
    std::unique_ptr<const Plan<A>> plan;
    at::Tensor pooled;
    {
        const at::NoGradGuard no_grad;
        plan = std::make_unique<const Plan<A>>(make_plan<A>(levels, rois.contiguous().const_data_ptr<float>(),
                                                            level_of.contiguous().const_data_ptr<int64_t>(), rois.size(0), p));
        pooled = pool<S, A>(tensors, levels, *plan);
    }
    if (differentiate) {
        auto node = make_node<RoiAlignBackward<A>>();
        node->set_next_edges(torch::autograd::collect_next_edges(tensors));
        node->levels = std::move(levels);
        node->plan = std::move(plan);
        torch::autograd::set_history(pooled, node);
    }
    return pooled;
}

} // namespace
} // namespace fovea

extern "C" char *fovea_roi_align(const fovea::FoveaLevels *levels, const at::Tensor *rois, const at::Tensor *level_of,
                                 const fovea::FoveaRoiAlign *parameters, at::Tensor **result) {
    return fovea::guarded([&] {
        const auto pyramid = fovea::list(levels->tensors, levels->count);
        const auto pooled = [&] {
            switch (pyramid[0].scalar_type()) {
            case at::kFloat: return fovea::run<float, float>(pyramid, *rois, *level_of, *parameters);
            case at::kDouble: return fovea::run<double, double>(pyramid, *rois, *level_of, *parameters);
            case at::kBFloat16: return fovea::run<c10::BFloat16, float>(pyramid, *rois, *level_of, *parameters);
            case at::kHalf: return fovea::run<c10::Half, float>(pyramid, *rois, *level_of, *parameters);
            default: TORCH_CHECK(false, "levels are ", pyramid[0].scalar_type(), ", not a floating-point type");
            }
        }();
        *result = new at::Tensor(pooled);
    });
}
