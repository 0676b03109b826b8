// SPDX-License-Identifier: Apache-2.0
// qs8_layernorm: normalizes the channels of each pixel of a C4P sample (numerics.md, section 5). With q = in - Z, over
// the n channels of a pixel: s1 = sum q, s2 = sum q^2, exact;
//
//   mean = f32(f64(s1) / f64(n)),  r = f32(1 / sqrt(f64(n*s2 - s1^2) / f64(n^2) + epsilon)), in f64 up to the f32()
//   p = ((f32(q) (-) mean) (*) r) (*) gain[c] (+) shift[c], each step rounded to f32;  out = requantize_f32(p)
//
// Words are written whole; bytes of absent channels are unspecified. out may be in.
#pragma once

#include <cstdint>

#include "kernels/requantize.h"

namespace edgeml::kernels {

inline constexpr std::int32_t kLayernormChannelsMax = 16384;  // so that sums of squares stay inside int32

struct QS8LayernormArgs {
  const act_t* in;
  act_t* out;
  std::int64_t plane_step;  // bytes from 4 channels to the next 4, in and out
  std::int64_t pixels;      // >= 1
  std::int32_t channels;    // 1..kLayernormChannelsMax
  std::int32_t zero_point;  // memory domain
  double epsilon;           // positive, in units of S_x^2
  const float* gain;        // [round_up(channels, 4)]
  const float* shift;       // [round_up(channels, 4)]
  OutputRange range;
};

using QS8LayernormFn = void (*)(const QS8LayernormArgs&) noexcept;

}  // namespace edgeml::kernels
