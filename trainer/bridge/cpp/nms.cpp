// Greedy class-aware non-maximum suppression on the CPU.

#include "common.h"

#include <ATen/ops/full.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace fovea {
namespace {

// Scores of an image are searched in pieces of this many, on several threads.
constexpr int64_t PIECE = 1 << 16;
// Scores that are compared before the first look at the result; the same of kept boxes.
constexpr int64_t BLOCK = 64;
constexpr int64_t LANES = 16;

// A candidate of one image. `key` sorts by descending score, then by ascending row.
struct Candidate {
    uint64_t key;
    int64_t label;
};

// Order-preserving: a greater score gives a smaller number. Both zeros give the same.
uint32_t descending(float score) {
    const float positive_zero = score + 0.0f;
    uint32_t bits;
    std::memcpy(&bits, &positive_zero, sizeof bits);
    return (bits >> 31) != 0 ? bits : ~(bits | 0x80000000u);
}

float score_of(uint32_t descending) {
    const uint32_t bits = (descending >> 31) != 0 ? descending : ~descending & 0x7fffffffu;
    float score;
    std::memcpy(&score, &bits, sizeof score);
    return score;
}

uint32_t row_of(uint64_t key) { return static_cast<uint32_t>(key); }

// Scores of one image as they lie in memory, without gaps: either class by class or row by row.
struct Scores {
    const float *data;
    int64_t count, rows, classes;
    bool class_by_class;

    Candidate candidate(int64_t i) const {
        const int64_t row = class_by_class ? i % rows : i / classes;
        const int64_t label = class_by_class ? i / rows : i % classes;
        return {static_cast<uint64_t>(descending(data[i])) << 32 | static_cast<uint64_t>(row), label};
    }
};

struct Boxes {
    const float *data;
    int64_t row_stride, side_stride;

    float operator()(int64_t row, int64_t side) const { return data[row * row_stride + side * side_stride]; }
};

// The first block at or after `block` that holds a score above the threshold, or `blocks`.
MULTIVERSION int64_t next_block_above(const float *scores, int64_t block, int64_t blocks, float threshold) {
    for (; block < blocks; ++block) {
        const float *s = scores + block * BLOCK;
        int above = 0;
        for (int64_t i = 0; i < BLOCK; ++i) above |= s[i] > threshold;
        if (above != 0) return block;
    }
    return blocks;
}

void collect(const Scores &scores, int64_t begin, int64_t end, float threshold, std::vector<Candidate> &found) {
    const auto look = [&](int64_t from, int64_t to) {
        for (int64_t i = from; i < to; ++i)
            if (scores.data[i] > threshold) found.push_back(scores.candidate(i));
    };
    const int64_t blocks = (end - begin) / BLOCK;
    for (int64_t block = 0; (block = next_block_above(scores.data + begin, block, blocks, threshold)) < blocks; ++block)
        look(begin + block * BLOCK, begin + (block + 1) * BLOCK);
    look(begin + blocks * BLOCK, end);
}

// The boxes kept so far, side by side, up to a multiple of LANES; what is not filled is NaN and overlaps nothing.
struct Kept {
    std::vector<float> memory;
    float *x1, *y1, *x2, *y2, *area;
    int64_t count = 0;

    explicit Kept(int64_t capacity) {
        const int64_t padded = (capacity + LANES - 1) / LANES * LANES;
        memory.assign(5 * padded, std::numeric_limits<float>::quiet_NaN());
        x1 = memory.data(), y1 = x1 + padded, x2 = y1 + padded, y2 = x2 + padded, area = y2 + padded;
    }
};

// Marks in `kept_keys` what survives of keys sorted ascending, until `cap` do. The order of operations is torchvision's, so that an IoU
// near the threshold falls on the same side.
MULTIVERSION void greedy(const std::vector<uint64_t> &keys, const Boxes &boxes, float threshold, int64_t cap,
                         std::vector<uint64_t> &kept_keys) {
    Kept kept(std::min(cap, static_cast<int64_t>(keys.size())));
    for (size_t k = 0; k < keys.size() && kept.count < cap; ++k) {
        const int64_t row = row_of(keys[k]);
        const float x1 = boxes(row, 0), y1 = boxes(row, 1), x2 = boxes(row, 2), y2 = boxes(row, 3);
        const float area = (x2 - x1) * (y2 - y1);
        int dropped = 0;
        for (int64_t j = 0; j < kept.count && dropped == 0; j += LANES) {
            const float *kx1 = kept.x1 + j, *ky1 = kept.y1 + j, *kx2 = kept.x2 + j, *ky2 = kept.y2 + j, *ka = kept.area + j;
            for (int64_t i = 0; i < LANES; ++i) {
                const float left = kx1[i] < x1 ? x1 : kx1[i], right = x2 < kx2[i] ? x2 : kx2[i];
                const float top = ky1[i] < y1 ? y1 : ky1[i], bottom = y2 < ky2[i] ? y2 : ky2[i];
                const float width = 0.0f < right - left ? right - left : 0.0f;
                const float height = 0.0f < bottom - top ? bottom - top : 0.0f;
                const float shared = width * height;
                dropped |= shared / (ka[i] + area - shared) > threshold;
            }
        }
        if (dropped != 0) continue;
        const int64_t at = kept.count++;
        kept.x1[at] = x1, kept.y1[at] = y1, kept.x2[at] = x2, kept.y2[at] = y2, kept.area[at] = area;
        kept_keys.push_back(keys[k]);
    }
}

// Candidates of one class of one image, and after the suppression its survivors.
struct Group {
    int64_t image, label;
    std::vector<uint64_t> keys, kept;
};

// One piece after the other holds candidates of one image; they become one group for each class that has any.
void add_groups(int64_t image, int64_t classes, const std::vector<Candidate> *pieces, int64_t count, std::vector<Group> &groups) {
    std::vector<int64_t> sizes(classes, 0), places(classes, 0);
    for (int64_t p = 0; p < count; ++p)
        for (const Candidate &candidate : pieces[p]) ++sizes[candidate.label];
    for (int64_t label = 0; label < classes; ++label) {
        if (sizes[label] == 0) continue;
        places[label] = static_cast<int64_t>(groups.size());
        groups.push_back({image, label, {}, {}});
        groups.back().keys.reserve(sizes[label]);
    }
    for (int64_t p = 0; p < count; ++p)
        for (const Candidate &candidate : pieces[p]) groups[places[candidate.label]].keys.push_back(candidate.key);
}

struct Survivor {
    uint32_t descending;
    int64_t place; // class * rows + row

    bool operator<(const Survivor &other) const {
        return descending != other.descending ? descending < other.descending : place < other.place;
    }
};

} // namespace

struct FoveaNms {
    float iou_threshold, score_threshold;
    int64_t cap;
};

std::vector<at::Tensor> nms(const at::Tensor &boxes, at::Tensor scores, const FoveaNms &p) {
    const int64_t images = scores.size(0), classes = scores.size(1), rows = scores.size(2), all = classes * rows;
    const int64_t cap = std::min(p.cap, all);
    const std::vector<at::Tensor> result = {at::zeros({images, cap}, scores.options()),
                                            at::full({images, cap}, -1, scores.options().dtype(at::kLong)),
                                            at::zeros({images, cap}, scores.options().dtype(at::kLong))};
    if (images * cap == 0) return result;

    const bool row_by_row = !scores.is_contiguous() && scores.transpose(1, 2).is_contiguous();
    if (!row_by_row) scores = scores.contiguous();
    const int64_t pieces = (all + PIECE - 1) / PIECE;
    std::vector<std::vector<Candidate>> candidates(images * pieces);
    for_ranges(images * pieces, [&](int64_t begin, int64_t end) {
        for (int64_t t = begin; t < end; ++t) {
            const Scores image{scores.const_data_ptr<float>() + t / pieces * all, all, rows, classes, !row_by_row};
            const int64_t from = t % pieces * PIECE;
            collect(image, from, std::min(all, from + PIECE), p.score_threshold, candidates[t]);
        }
    });

    std::vector<Group> groups;
    std::vector<size_t> first_group(images + 1, 0);
    for (int64_t image = 0; image < images; ++image) {
        add_groups(image, classes, &candidates[image * pieces], pieces, groups);
        first_group[image + 1] = groups.size();
    }
    for_ranges(static_cast<int64_t>(groups.size()), [&](int64_t begin, int64_t end) {
        for (int64_t g = begin; g < end; ++g) {
            Group &group = groups[g];
            std::sort(group.keys.begin(), group.keys.end());
            const Boxes image{boxes.const_data_ptr<float>() + group.image * boxes.stride(0), boxes.stride(1), boxes.stride(2)};
            greedy(group.keys, image, p.iou_threshold, cap, group.kept);
        }
    });

    for (int64_t image = 0; image < images; ++image) {
        std::vector<Survivor> survivors;
        for (size_t g = first_group[image]; g < first_group[image + 1]; ++g)
            for (const uint64_t key : groups[g].kept)
                survivors.push_back({static_cast<uint32_t>(key >> 32), groups[g].label * rows + row_of(key)});
        const int64_t count = std::min(cap, static_cast<int64_t>(survivors.size()));
        std::partial_sort(survivors.begin(), survivors.begin() + count, survivors.end());
        for (int64_t i = 0; i < count; ++i) {
            result[0].mutable_data_ptr<float>()[image * cap + i] = score_of(survivors[i].descending);
            result[1].mutable_data_ptr<int64_t>()[image * cap + i] = survivors[i].place / rows;
            result[2].mutable_data_ptr<int64_t>()[image * cap + i] = survivors[i].place % rows;
        }
    }
    return result;
}

} // namespace fovea

extern "C" char *fovea_nms(const at::Tensor *boxes, const at::Tensor *scores, const fovea::FoveaNms *parameters, at::Tensor **result) {
    return fovea::guarded([&] {
        const at::NoGradGuard no_grad;
        const auto tensors = fovea::nms(*boxes, *scores, *parameters);
        for (size_t i = 0; i < tensors.size(); ++i) result[i] = new at::Tensor(tensors[i]);
    });
}
