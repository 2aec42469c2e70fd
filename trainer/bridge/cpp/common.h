// What the files of the bridge share: failures as messages, lists of tensors, libtorch's threads, and several instruction sets.
#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/GradMode.h>
#include <c10/util/Exception.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <functional>
#include <new>
#include <string>
#include <vector>

// A function with MULTIVERSION is compiled for several instruction sets, and the dynamic linker picks one by the processor it finds.
// It cannot be a template, so the bodies are templates that are inlined into it. The sets are named by feature: GCC takes `arch=` for
// exactly that processor. AVX-512 gains nothing measurable here, and fused products are off (see build.rs), so all give the same bits.
#if defined(__x86_64__) && defined(__GLIBC__) && defined(__GNUC__) && !defined(__clang__)
#define MULTIVERSION __attribute__((target_clones("avx2", "default")))
#else
#define MULTIVERSION
#endif
#if defined(__GNUC__)
#define INLINED inline __attribute__((always_inline))
#define RESTRICT __restrict__
#else
#define INLINED inline
#define RESTRICT
#endif

namespace fovea {

inline char *message(const char *text) {
    char *copy = strdup(text);
    // Out of memory while reporting: the caller must still see a failure.
    if (copy == nullptr) std::abort();
    return copy;
}

// Why a guarded call failed. Rust's twin reads it in the first byte of the message.
enum class Failure : char { other = 'o', memory = 'm' };

inline char *failed(Failure kind, const char *text) {
    const std::string kind_and_text = static_cast<char>(kind) + std::string(text);
    return message(kind_and_text.c_str());
}

template <typename Body> char *guarded(Body body) noexcept {
    try {
        body();
        return nullptr;
    } catch (const c10::OutOfMemoryError &error) {
        return failed(Failure::memory, error.what_without_backtrace());
    } catch (const std::bad_alloc &error) {
        return failed(Failure::memory, error.what());
    } catch (const c10::Error &error) {
        return failed(Failure::other, error.what_without_backtrace());
    } catch (const std::exception &error) {
        return failed(Failure::other, error.what());
    } catch (...) {
        return failed(Failure::other, "unknown C++ exception");
    }
}

using Tensors = at::Tensor *const *;

inline std::vector<at::Tensor> list(Tensors tensors, size_t count) {
    std::vector<at::Tensor> result;
    result.reserve(count);
    for (size_t i = 0; i < count; ++i) result.push_back(*tensors[i]);
    return result;
}

// Calls body(begin, end) for ranges that make up [0, tasks), on libtorch's threads. Which thread gets which range says nothing about
// the result as long as a task writes only what is its own.
void for_ranges(int64_t tasks, const std::function<void(int64_t, int64_t)> &body);

} // namespace fovea
