// SPDX-License-Identifier: Apache-2.0
// qs8_f32_dequantize: C4P -> float planes [channels][pixels]; y = f32(q - Z) * scale.
#pragma once

#include <cstdint>

#include "kernels/activation.h"

namespace edgeml::kernels {

struct QS8F32DequantizeArgs {
  const act_t* in;             // word of channels 4c..4c+3, pixel p: in + c*in_plane_step + p*4
  std::int64_t in_plane_step;  // bytes
  std::int32_t channels;
  std::int64_t pixels;
  std::int32_t zero_point;  // memory domain
  float scale;
  float* out;  // [channels][pixels], dense
};

using QS8F32DequantizeFn = void (*)(const QS8F32DequantizeArgs&) noexcept;

}  // namespace edgeml::kernels
