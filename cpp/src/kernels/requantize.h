// SPDX-License-Identifier: Apache-2.0
// int32 accumulator -> stored int8 activation: the one scalar definition (numerics.md, section 4). Everything is static
// inline on purpose: this header is included by objects built for different ISAs (CONTRIBUTING.md, "Add a kernel").
#pragma once

#include <cstdint>

#include "kernels/activation.h"

namespace edgeml::kernels {

// Where a result is stored, in the memory domain. The bounds are exact integers held as float.
struct OutputRange {
  float lo;                 // act_min - Z    [-255, 255]
  float hi;                 // act_max - Z    [-255, 255], lo <= hi
  std::int32_t zero_point;  // Z + kActOffset
};

// Round-to-nearest-even of p, clamped before the conversion so that it cannot overflow; rounding is monotone and fixes
// integers, so the order of clamp and round does not matter. Never called with NaN.
static inline act_t requantize_f32(float p, const OutputRange& range) {
  p = p < range.lo ? range.lo : p;
  p = p > range.hi ? range.hi : p;
  return static_cast<act_t>(static_cast<std::int32_t>(__builtin_nearbyintf(p)) + range.zero_point);
}

static inline act_t requantize(std::int32_t acc, float multiplier, const OutputRange& range) {
  return requantize_f32(static_cast<float>(acc) * multiplier, range);
}

}  // namespace edgeml::kernels
