// SPDX-License-Identifier: Apache-2.0
// qs8_avgpool_neon: one output word at a time, 4 input words in one step along a row. Contract: qs8_avgpool.h.
#include <arm_neon.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/qs8_avgpool/qs8_avgpool.h"
#include "kernels/requantize_neon.h"

namespace edgeml::kernels {
namespace {

// Sums of 4 channels over `count` neighbouring words. int16 lanes hold 128 steps of two words each: 128*2*128 = 2^15
// would not fit, 127 steps do.
int32x4_t sum_words(const act_t* words, std::int32_t count) {
  constexpr std::int32_t kStepsMax = 127;
  int32x4_t total = vdupq_n_s32(0);
  std::int32_t i = 0;
  while (i + 4 <= count) {
    const std::int32_t end = std::min(count - 3, i + 4 * kStepsMax);
    int16x8_t partial = vdupq_n_s16(0);  // lanes 0-3 and 4-7: the same channels of two words
    for (; i < end; i += 4) {
      const int8x16_t q = vld1q_s8(words + std::int64_t{i} * 4);
      partial = vaddq_s16(partial, vaddl_s8(vget_low_s8(q), vget_high_s8(q)));
    }
    total = vaddq_s32(total, vaddl_s16(vget_low_s16(partial), vget_high_s16(partial)));
  }
  for (; i < count; ++i) {
    std::uint32_t word;
    std::memcpy(&word, words + std::int64_t{i} * 4, sizeof word);
    total = vaddw_s16(total, vget_low_s16(vmovl_s8(vreinterpret_s8_u32(vdup_n_u32(word)))));
  }
  return total;
}

}  // namespace

void qs8_avgpool_neon(const QS8AvgpoolArgs& args) noexcept {
  const OutputRangeNeon range = broadcast(args.range);
  act_t* out = args.out;
  for (std::int32_t oy = 0; oy < args.out_h; ++oy) {
    const std::int32_t y0 = oy * args.stride_h - args.pad_top;
    const std::int32_t y_begin = std::max(y0, 0);
    const std::int32_t y_end = std::min(y0 + args.kernel_h, args.in_h);
    for (std::int32_t ox = 0; ox < args.out_w; ++ox, out += 4) {
      const std::int32_t x0 = ox * args.stride_w - args.pad_left;
      const std::int32_t x_begin = std::max(x0, 0);
      const std::int32_t width = std::min(x0 + args.kernel_w, args.in_w) - x_begin;
      int32x4_t sum = vdupq_n_s32(0);
      for (std::int32_t y = y_begin; y < y_end; ++y) {
        sum = vaddq_s32(sum, sum_words(args.in + (std::int64_t{y} * args.in_w + x_begin) * 4, width));
      }
      const std::int32_t taps = (y_end - y_begin) * width;
      sum = vsubq_s32(sum, vdupq_n_s32(taps * args.zero_point));
      const float32x4_t multiplier = vdupq_n_f32(args.multiplier[taps - 1]);
      const int8x16_t words = requantize_neon(sum, sum, sum, sum, multiplier, range);
      const std::int32_t word = vgetq_lane_s32(vreinterpretq_s32_s8(words), 0);
      std::memcpy(out, &word, sizeof word);
    }
  }
}

}  // namespace edgeml::kernels
