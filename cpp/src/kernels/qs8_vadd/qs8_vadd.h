// SPDX-License-Identifier: Apache-2.0
// qs8_vadd: out[i] = requantize((a[i]-Za)*ma (+) (b[i]-Zb)*mb), each step rounded to f32, in that order (numerics.md,
// 5). out may be a or b.
#pragma once

#include <cstdint>

#include "kernels/requantize.h"

namespace edgeml::kernels {

struct QS8VaddArgs {
  const act_t* a;
  const act_t* b;
  act_t* out;
  std::int64_t n;
  std::int32_t zero_point_a, zero_point_b;  // memory domain
  float multiplier_a, multiplier_b;
  OutputRange range;
};

using QS8VaddFn = void (*)(const QS8VaddArgs&) noexcept;

}  // namespace edgeml::kernels
