// SPDX-License-Identifier: Apache-2.0
// qs8_rescale_neon: 16 values at a time. Contract: qs8_rescale.h.
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/qs8_rescale/qs8_rescale.h"
#include "kernels/requantize_neon.h"

namespace edgeml::kernels {
namespace {

int8x16_t rescale(int8x16_t q, int16x8_t zero_point, float32x4_t multiplier, const OutputRangeNeon& range) {
  const int16x8_t low = vsubq_s16(vmovl_s8(vget_low_s8(q)), zero_point);  // q - Z fits int16
  const int16x8_t high = vsubq_s16(vmovl_high_s8(q), zero_point);
  return requantize_neon(vmovl_s16(vget_low_s16(low)), vmovl_high_s16(low), vmovl_s16(vget_low_s16(high)),
                         vmovl_high_s16(high), multiplier, range);
}

}  // namespace

void qs8_rescale_neon(const QS8RescaleArgs& args) noexcept {
  const int16x8_t zero_point = vdupq_n_s16(static_cast<std::int16_t>(args.zero_point));
  const float32x4_t multiplier = vdupq_n_f32(args.multiplier);
  const OutputRangeNeon range = broadcast(args.range);
  std::int64_t i = 0;
  for (; i + 16 <= args.n; i += 16) {
    vst1q_s8(args.out + i, rescale(vld1q_s8(args.in + i), zero_point, multiplier, range));
  }
  if (i == args.n) return;
  const auto rest = static_cast<std::size_t>(args.n - i);
  act_t bytes[16] = {};
  std::memcpy(bytes, args.in + i, rest);
  vst1q_s8(bytes, rescale(vld1q_s8(bytes), zero_point, multiplier, range));
  std::memcpy(args.out + i, bytes, rest);
}

}  // namespace edgeml::kernels
