// SPDX-License-Identifier: Apache-2.0
// qs8_f32_dequantize_ref: the specification of qs8_f32_dequantize.h.
#include "kernels/qs8_f32_dequantize/qs8_f32_dequantize.h"

namespace edgeml::kernels {

void qs8_f32_dequantize_ref(const QS8F32DequantizeArgs& args) noexcept {
  for (std::int32_t c = 0; c < args.channels; ++c) {
    const act_t* plane = args.in + c / 4 * args.in_plane_step + c % 4;
    for (std::int64_t p = 0; p < args.pixels; ++p) {
      args.out[c * args.pixels + p] = static_cast<float>(plane[p * 4] - args.zero_point) * args.scale;
    }
  }
}

}  // namespace edgeml::kernels
