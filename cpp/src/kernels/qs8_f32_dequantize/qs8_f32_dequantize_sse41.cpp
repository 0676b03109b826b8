// SPDX-License-Identifier: Apache-2.0
// qs8_f32_dequantize_sse41: 4 words become 4 pixels of one plane. Contract: qs8_f32_dequantize.h.
#if !defined(__SSE4_1__)
#error "built without -msse4.1: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_f32_dequantize/qs8_f32_dequantize.h"

namespace edgeml::kernels {
namespace {

constexpr int kStep = 4;

struct Dequantizer {
  __m128i zero_point;
  __m128 scale;

  inline __attribute__((always_inline)) void store(__m128i q, float* out) const {
    _mm_storeu_ps(out, _mm_mul_ps(_mm_cvtepi32_ps(_mm_sub_epi32(q, zero_point)), scale));
  }
};

// One pixel whose channels stand side by side on both sides; returns how many channels are done.
std::int32_t dequantize_vector(const QS8F32DequantizeArgs& args, const Dequantizer& dequantizer) {
  std::int32_t c = 0;
  for (; c + kStep <= args.channels; c += kStep) {
    std::int32_t word;
    __builtin_memcpy(&word, args.in + c, 4);
    dequantizer.store(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(word)), args.out + c);
  }
  return c;
}

}  // namespace

void qs8_f32_dequantize_sse41(const QS8F32DequantizeArgs& args) noexcept {
  const Dequantizer dequantizer{_mm_set1_epi32(args.zero_point), _mm_set1_ps(args.scale)};
  const __m128i byte = _mm_set1_epi32(0xff);
  const bool vector = args.pixels == 1 && args.in_plane_step == 4;
  for (std::int32_t c = vector ? dequantize_vector(args, dequantizer) : 0; c < args.channels; ++c) {
    const act_t* in = args.in + c / 4 * args.in_plane_step;
    float* out = args.out + c * args.pixels;
    std::int64_t p = 0;
    for (; p + kStep <= args.pixels; p += kStep) {
      const __m128i words = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + p * 4));
      dequantizer.store(_mm_and_si128(_mm_srli_epi32(words, 8 * (c % 4)), byte), out + p);
    }
    for (; p < args.pixels; ++p) out[p] = static_cast<float>(in[p * 4 + c % 4] - args.zero_point) * args.scale;
  }
}

}  // namespace edgeml::kernels
