// SPDX-License-Identifier: Apache-2.0
// requantize.h for 16 values at once on 64-bit ARM. static inline for the reason given there.
//
// After the clamp |p| <= 255, so p + 1.5*2^23 rounds p to the nearest even integer r and leaves r in the low bits of
// the sum (0x4b400000 + r). fadd runs on both vector pipes of common cores, fcvtns on one. Only the low byte is kept: r
// + Z fits into a byte, so the addition of Z may wrap.
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/requantize.h"

namespace edgeml::kernels {

struct OutputRangeNeon {
  float32x4_t lo, hi;
  int8x16_t zero_point;
};

static inline OutputRangeNeon broadcast(const OutputRange& range) {
  return {vdupq_n_f32(range.lo), vdupq_n_f32(range.hi), vdupq_n_s8(static_cast<std::int8_t>(range.zero_point))};
}

static inline float32x4_t clamp(float32x4_t p, const OutputRangeNeon& range) {
  return vminq_f32(vmaxq_f32(p, range.lo), range.hi);
}

// 16 clamped values -> 16 stored values, in order. The low half of each sum holds the rounded value.
static inline int8x16_t round_narrow(float32x4_t p0, float32x4_t p1, float32x4_t p2, float32x4_t p3,
                                     const OutputRangeNeon& range) {
  const float32x4_t magic = vdupq_n_f32(12582912.0F);  // 1.5 * 2^23
  const int16x8_t low =
      vuzp1q_s16(vreinterpretq_s16_f32(vaddq_f32(p0, magic)), vreinterpretq_s16_f32(vaddq_f32(p1, magic)));
  const int16x8_t high =
      vuzp1q_s16(vreinterpretq_s16_f32(vaddq_f32(p2, magic)), vreinterpretq_s16_f32(vaddq_f32(p3, magic)));
  return vaddq_s8(vuzp1q_s8(vreinterpretq_s8_s16(low), vreinterpretq_s8_s16(high)), range.zero_point);
}

// 16 scaled sums -> 16 stored values, in order.
static inline int8x16_t requantize_f32_neon(float32x4_t p0, float32x4_t p1, float32x4_t p2, float32x4_t p3,
                                            const OutputRangeNeon& range) {
  return round_narrow(clamp(p0, range), clamp(p1, range), clamp(p2, range), clamp(p3, range), range);
}

// 16 sums with one multiplier for each of the four lanes.
static inline int8x16_t requantize_neon(int32x4_t a0, int32x4_t a1, int32x4_t a2, int32x4_t a3, float32x4_t multiplier,
                                        const OutputRangeNeon& range) {
  return requantize_f32_neon(vmulq_f32(vcvtq_f32_s32(a0), multiplier), vmulq_f32(vcvtq_f32_s32(a1), multiplier),
                             vmulq_f32(vcvtq_f32_s32(a2), multiplier), vmulq_f32(vcvtq_f32_s32(a3), multiplier), range);
}

}  // namespace edgeml::kernels
