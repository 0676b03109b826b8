// SPDX-License-Identifier: Apache-2.0
// qs8_f32_dequantize_neon: 4 words become 4 pixels of one plane. Contract: qs8_f32_dequantize.h.
#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "kernels/qs8_f32_dequantize/qs8_f32_dequantize.h"

namespace edgeml::kernels {
namespace {

constexpr int kStep = 4;

struct Dequantizer {
  int32x4_t zero_point;
  float32x4_t scale;

  inline __attribute__((always_inline)) void store(int32x4_t q, float* out) const {
    vst1q_f32(out, vmulq_f32(vcvtq_f32_s32(vsubq_s32(q, zero_point)), scale));
  }
};

// One pixel whose channels stand side by side on both sides; returns how many channels are done.
std::int32_t dequantize_vector(const QS8F32DequantizeArgs& args, const Dequantizer& dequantizer) {
  std::int32_t c = 0;
  for (; c + 8 <= args.channels; c += 8) {
    const int16x8_t q = vmovl_s8(vld1_s8(args.in + c));
    dequantizer.store(vmovl_s16(vget_low_s16(q)), args.out + c);
    dequantizer.store(vmovl_high_s16(q), args.out + c + 4);
  }
  return c;
}

}  // namespace

void qs8_f32_dequantize_neon(const QS8F32DequantizeArgs& args) noexcept {
  const Dequantizer dequantizer{vdupq_n_s32(args.zero_point), vdupq_n_f32(args.scale)};
  const bool vector = args.pixels == 1 && args.in_plane_step == 4;
  for (std::int32_t c = vector ? dequantize_vector(args, dequantizer) : 0; c < args.channels; ++c) {
    const act_t* in = args.in + c / 4 * args.in_plane_step;
    float* out = args.out + c * args.pixels;
    const int32x4_t to_top = vdupq_n_s32(24 - 8 * (c % 4));  // the byte, and then down again with its sign
    std::int64_t p = 0;
    for (; p + kStep <= args.pixels; p += kStep) {
      const int32x4_t words = vreinterpretq_s32_s8(vld1q_s8(in + p * 4));
      dequantizer.store(vshrq_n_s32(vshlq_s32(words, to_top), 24), out + p);
    }
    for (; p < args.pixels; ++p) out[p] = static_cast<float>(in[p * 4 + c % 4] - args.zero_point) * args.scale;
  }
}

}  // namespace edgeml::kernels
