// SPDX-License-Identifier: Apache-2.0
// qs8_softmax: over the n channels of each pixel of a C4P sample (numerics.md, section 5). e_c = table[max - in_c],
// s = sum e_c in u64. Either out_s8:  min(255, floor((256*e + floor(s/2)) / s)) - 128 in stored form, in the places of
// the input, or out_f32, dense [n][pixels]: f32(f64(e) / f64(s)). Bytes of absent channels are unspecified.
#pragma once

#include <cstdint>

#include "kernels/activation.h"

namespace edgeml::kernels {

inline constexpr std::uint32_t kSoftmaxEntryMax = 1U << 24;

struct QS8SoftmaxArgs {
  const act_t* in;
  std::int64_t plane_step;     // bytes from 4 channels to the next 4, in and out_s8
  std::int64_t pixels;         // >= 1
  std::int32_t n;              // channels, >= 1
  const std::uint32_t* table;  // [256], table[0] >= 1, entries <= kSoftmaxEntryMax
  act_t* out_s8;               // or nullptr; may be in
  float* out_f32;              // or nullptr
};

using QS8SoftmaxFn = void (*)(const QS8SoftmaxArgs&) noexcept;

}  // namespace edgeml::kernels
