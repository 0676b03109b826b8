// SPDX-License-Identifier: Apache-2.0
// f32_qs8_quantize_ref: the specification of f32_qs8_quantize.h.
#include "kernels/f32_qs8_quantize/f32_qs8_quantize.h"

namespace edgeml::kernels {
namespace {

act_t quantize(float x, const F32QS8QuantizeArgs& args) {
  const bool is_nan = x != x;  // a NaN quotient needs a NaN input: the scale is finite and positive
  return is_nan ? static_cast<act_t>(args.range.zero_point) : requantize_f32(x / args.scale, args.range);
}

}  // namespace

void f32_qs8_quantize_ref(const F32QS8QuantizeArgs& args) noexcept {
  for (std::int32_t c = 0; c < args.channels; c += 4) {
    for (std::int64_t p = 0; p < args.pixels; ++p) {
      act_t* word = args.out + c / 4 * args.out_plane_step + p * 4;
      for (std::int32_t i = 0; i < 4; ++i) {
        word[i] = c + i < args.channels ? quantize(args.in[(c + i) * args.pixels + p], args)
                                        : static_cast<act_t>(args.range.zero_point);
      }
    }
  }
}

}  // namespace edgeml::kernels
