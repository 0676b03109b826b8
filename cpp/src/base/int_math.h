// SPDX-License-Identifier: Apache-2.0
// Rounding and overflow-safe products of sizes.
#pragma once

#include <cstdint>
#include <optional>

namespace edgeml {

// value >= 0, divisor > 0.
constexpr std::int64_t ceil_div(std::int64_t value, std::int64_t divisor) { return (value + divisor - 1) / divisor; }
constexpr std::int64_t round_up(std::int64_t value, std::int64_t multiple) {
  return ceil_div(value, multiple) * multiple;
}

inline std::optional<std::int64_t> checked_mul(std::int64_t a, std::int64_t b) {
  std::int64_t product = 0;
  if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
  return product;
}

}  // namespace edgeml
