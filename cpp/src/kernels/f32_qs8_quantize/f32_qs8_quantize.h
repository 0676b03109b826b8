// SPDX-License-Identifier: Apache-2.0
// f32_qs8_quantize: float planes [channels][pixels] -> C4P. q = clamp(RNE(x / scale), -128 - Z, 127 - Z) + Z with a
// true division; NaN -> Z. Bytes of absent channels in the last group are Z.
#pragma once

#include <cstdint>

#include "kernels/requantize.h"

namespace edgeml::kernels {

struct F32QS8QuantizeArgs {
  const float* in;  // [channels][pixels], dense
  std::int32_t channels;
  std::int64_t pixels;
  float scale;
  act_t* out;                   // word of channels 4c..4c+3, pixel p: out + c*out_plane_step + p*4
  std::int64_t out_plane_step;  // bytes
  OutputRange range;
};

using F32QS8QuantizeFn = void (*)(const F32QS8QuantizeArgs&) noexcept;

}  // namespace edgeml::kernels
