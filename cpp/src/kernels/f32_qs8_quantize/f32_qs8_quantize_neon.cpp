// SPDX-License-Identifier: Apache-2.0
// f32_qs8_quantize_neon: 4 pixels of 4 channels at a time, transposed into 4 words. Contract: f32_qs8_quantize.h.
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/f32_qs8_quantize/f32_qs8_quantize.h"
#include "kernels/requantize_neon.h"

namespace edgeml::kernels {
namespace {

// Bytes 0-3 are channel 0 of 4 pixels, 4-7 channel 1, and so on; the words want pixel 0 of 4 channels first.
alignas(16) constexpr std::uint8_t kPixelsFirst[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};

// x / scale, clamped, and 0 where x is NaN: 0 becomes the zero point.
float32x4_t divide_clamp(float32x4_t x, float32x4_t scale, const OutputRangeNeon& range) {
  const uint32x4_t is_number = vceqq_f32(x, x);
  return vreinterpretq_f32_u32(vandq_u32(vreinterpretq_u32_f32(clamp(vdivq_f32(x, scale), range)), is_number));
}

}  // namespace

void f32_qs8_quantize_neon(const F32QS8QuantizeArgs& args) noexcept {
  const OutputRangeNeon range = broadcast(args.range);
  const float32x4_t scale = vdupq_n_f32(args.scale);
  const uint8x16_t pixels_first = vld1q_u8(kPixelsFirst);
  const float32x4_t absent = vdupq_n_f32(__builtin_nanf(""));  // like NaN in the input, it becomes the zero point
  const auto divided = [&](const float* x) { return divide_clamp(vld1q_f32(x), scale, range); };
  for (std::int32_t c = 0; c < args.channels; c += 4) {
    const std::int32_t present = args.channels - c < 4 ? args.channels - c : 4;
    act_t* out = args.out + c / 4 * args.out_plane_step;
    for (std::int64_t p = 0; p < args.pixels; p += 4) {
      const std::int64_t count = args.pixels - p < 4 ? args.pixels - p : 4;
      float x[4][4] = {};
      for (std::int32_t i = 0; i < 4; ++i) {
        if (i >= present) {
          vst1q_f32(x[i], absent);
          continue;
        }
        std::memcpy(x[i], args.in + (c + i) * args.pixels + p, static_cast<std::size_t>(count) * sizeof(float));
      }
      const int8x16_t channels_first = round_narrow(divided(x[0]), divided(x[1]), divided(x[2]), divided(x[3]), range);
      const int8x16_t result = vqtbl1q_s8(channels_first, pixels_first);
      if (count == 4) {
        vst1q_s8(out + p * 4, result);
      } else {
        act_t bytes[16];
        vst1q_s8(bytes, result);
        std::memcpy(out + p * 4, bytes, static_cast<std::size_t>(count) * 4);
      }
    }
  }
}

}  // namespace edgeml::kernels
