// SPDX-License-Identifier: Apache-2.0
// qs8_softmax: over n stored bytes of one row (numerics.md, section 5). e_i = table[max - in[i]], s = sum e_i in u64.
// Either out_s8:  min(255, floor((256*e + floor(s/2)) / s)) - 128, stored form, or out_f32: f32(f64(e) / f64(s)).
#pragma once

#include <cstdint>

#include "kernels/activation.h"

namespace edgeml::kernels {

struct QS8SoftmaxArgs {
  const act_t* in;
  std::int32_t n;              // >= 1
  const std::uint32_t* table;  // [256], table[0] >= 1
  act_t* out_s8;               // [n] or nullptr
  float* out_f32;              // [n] or nullptr
};

using QS8SoftmaxFn = void (*)(const QS8SoftmaxArgs&) noexcept;

}  // namespace edgeml::kernels
