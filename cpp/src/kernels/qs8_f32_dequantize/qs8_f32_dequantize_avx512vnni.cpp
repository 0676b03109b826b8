// SPDX-License-Identifier: Apache-2.0
// qs8_f32_dequantize_avx512vnni: 16 words become 16 pixels of up to 4 planes. Contract: qs8_f32_dequantize.h.
#if !defined(__AVX512BW__) || !defined(__AVX512VBMI__) || !defined(__AVX512VNNI__)
#error "built without the flags of avx512vnni: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_f32_dequantize/qs8_f32_dequantize.h"

namespace edgeml::kernels {
namespace {

// One pixel whose channels stand side by side on both sides.
void dequantize_vector(const QS8F32DequantizeArgs& args) {
  const __m512i zero_point = _mm512_set1_epi32(args.zero_point);
  const __m512 scale = _mm512_set1_ps(args.scale);
  for (std::int32_t c = 0; c < args.channels; c += 16) {
    const std::int32_t left = args.channels - c;
    const auto mask = static_cast<__mmask16>(left >= 16 ? 0xffffU : (1U << left) - 1U);
    const __m512i q = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, args.in + c));
    _mm512_mask_storeu_ps(args.out + c, mask,
                          _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(q, zero_point)), scale));
  }
}

}  // namespace

void qs8_f32_dequantize_avx512vnni(const QS8F32DequantizeArgs& args) noexcept {
  if (args.pixels == 1 && args.in_plane_step == 4) {
    dequantize_vector(args);
    return;
  }
  const __m512i byte = _mm512_set1_epi32(0xff);
  const __m512i zero_point = _mm512_set1_epi32(args.zero_point);
  const __m512 scale = _mm512_set1_ps(args.scale);
  for (std::int32_t c = 0; c < args.channels; c += 4) {
    const act_t* in = args.in + c / 4 * args.in_plane_step;
    float* out = args.out + c * args.pixels;
    const std::int32_t present = args.channels - c < 4 ? args.channels - c : 4;
    for (std::int64_t p = 0; p < args.pixels; p += 16) {
      const std::int64_t left = args.pixels - p;
      const __mmask16 mask = static_cast<__mmask16>(left >= 16 ? 0xffffU : (1U << left) - 1U);
      const __m512i words = _mm512_maskz_loadu_epi32(mask, in + p * 4);
      for (std::int32_t i = 0; i < present; ++i) {
        const __m512i q = _mm512_and_si512(_mm512_srli_epi32(words, static_cast<unsigned>(8 * i)), byte);
        const __m512 y = _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(q, zero_point)), scale);
        _mm512_mask_storeu_ps(out + i * args.pixels + p, mask, y);
      }
    }
  }
}

}  // namespace edgeml::kernels
