// SPDX-License-Identifier: Apache-2.0
// qs8_vadd_neon: 16 values at a time. Contract: qs8_vadd.h.
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/qs8_vadd/qs8_vadd.h"
#include "kernels/requantize_neon.h"

namespace edgeml::kernels {
namespace {

// (q - Z) * m for each of 16 values; q - Z fits int16.
struct Scaled {
  float32x4_t part[4];
};

Scaled scale(int8x16_t q, int16x8_t zero_point, float32x4_t multiplier) {
  const int16x8_t low = vsubq_s16(vmovl_s8(vget_low_s8(q)), zero_point);
  const int16x8_t high = vsubq_s16(vmovl_high_s8(q), zero_point);
  return {{vmulq_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(low))), multiplier),
           vmulq_f32(vcvtq_f32_s32(vmovl_high_s16(low)), multiplier),
           vmulq_f32(vcvtq_f32_s32(vmovl_s16(vget_low_s16(high))), multiplier),
           vmulq_f32(vcvtq_f32_s32(vmovl_high_s16(high)), multiplier)}};
}

struct Operands {
  int16x8_t zero_point_a, zero_point_b;
  float32x4_t multiplier_a, multiplier_b;
  OutputRangeNeon range;
};

int8x16_t add(const Operands& op, int8x16_t a, int8x16_t b) {
  const Scaled fa = scale(a, op.zero_point_a, op.multiplier_a);
  const Scaled fb = scale(b, op.zero_point_b, op.multiplier_b);
  return requantize_f32_neon(vaddq_f32(fa.part[0], fb.part[0]), vaddq_f32(fa.part[1], fb.part[1]),
                             vaddq_f32(fa.part[2], fb.part[2]), vaddq_f32(fa.part[3], fb.part[3]), op.range);
}

}  // namespace

void qs8_vadd_neon(const QS8VaddArgs& args) noexcept {
  const Operands op{vdupq_n_s16(static_cast<std::int16_t>(args.zero_point_a)),
                    vdupq_n_s16(static_cast<std::int16_t>(args.zero_point_b)), vdupq_n_f32(args.multiplier_a),
                    vdupq_n_f32(args.multiplier_b), broadcast(args.range)};
  std::int64_t i = 0;
  for (; i + 16 <= args.n; i += 16) vst1q_s8(args.out + i, add(op, vld1q_s8(args.a + i), vld1q_s8(args.b + i)));
  if (i == args.n) return;
  const auto rest = static_cast<std::size_t>(args.n - i);
  act_t a[16] = {};
  act_t b[16] = {};
  std::memcpy(a, args.a + i, rest);
  std::memcpy(b, args.b + i, rest);
  vst1q_s8(a, add(op, vld1q_s8(a), vld1q_s8(b)));
  std::memcpy(args.out + i, a, rest);
}

}  // namespace edgeml::kernels
