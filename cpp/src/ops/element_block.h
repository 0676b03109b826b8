// SPDX-License-Identifier: Apache-2.0
// Elements of any dtype as binary64 or as 64-bit integers, a block at a time: the arithmetic of plain operators is
// written once for floats and once for integers (numerics.md, section 6).
#pragma once

#include <cstddef>
#include <cstdint>

#include "edgeml/tensor.h"

namespace edgeml {

inline constexpr std::int64_t kBlockElements = 256;

// `step` is in elements from one to the next, 0 repeats one; n <= kBlockElements. Integers become binary64 rounded to
// nearest even; floats become integers toward zero, NaN gives 0, what is beyond int64 its nearest end.
void load_f64(DType dtype, const std::byte* from, std::int64_t step, std::int64_t n, double* to) noexcept;
// uint64 keeps its bits.
void load_s64(DType dtype, const std::byte* from, std::int64_t step, std::int64_t n, std::int64_t* to) noexcept;

// To n consecutive elements. Floats are rounded to nearest even; integers get the low bits; bool is 1 where not 0.
void store_f64(DType dtype, const double* from, std::int64_t n, std::byte* to) noexcept;
void store_s64(DType dtype, const std::int64_t* from, std::int64_t n, std::byte* to) noexcept;

}  // namespace edgeml
