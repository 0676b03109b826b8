// SPDX-License-Identifier: Apache-2.0
// qs8_vmul: out[i] = requantize((a[i]-Za) * (b[i]-Zb), multiplier); out may be a or b. Where b is one word, its 4 bytes
// stand for those of every word of a: a value per channel, broadcast over a plane.
#pragma once

#include <cstdint>

#include "kernels/requantize.h"

namespace edgeml::kernels {

struct QS8VmulArgs {
  const act_t* a;
  const act_t* b;  // [n], or [4] where b_is_word
  act_t* out;
  std::int64_t n;                           // a multiple of 4 where b_is_word
  std::int32_t zero_point_a, zero_point_b;  // memory domain
  float multiplier;
  bool b_is_word;
  OutputRange range;
};

using QS8VmulFn = void (*)(const QS8VmulArgs&) noexcept;

}  // namespace edgeml::kernels
