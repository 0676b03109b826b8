// SPDX-License-Identifier: Apache-2.0
// f32_qs8_quantize_avx512vnni: 16 pixels of 4 planes become 16 words. Contract: f32_qs8_quantize.h.
#if !defined(__AVX512BW__) || !defined(__AVX512VBMI__) || !defined(__AVX512VNNI__)
#error "built without the flags of avx512vnni: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/f32_qs8_quantize/f32_qs8_quantize.h"

namespace edgeml::kernels {
namespace {

struct Quantizer {
  __m512 scale, lo, hi;
  __m512i zero_point;

  // 16 floats -> stored bytes, one in each 32-bit element.
  inline __attribute__((always_inline)) __m512i quantize(__m512 x) const {
    const __mmask16 is_number = _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q);
    const __m512 clamped = _mm512_min_ps(_mm512_max_ps(_mm512_div_ps(x, scale), lo), hi);
    return _mm512_add_epi32(_mm512_maskz_cvtps_epi32(is_number, clamped), zero_point);
  }
};

// One pixel whose channels stand side by side on both sides.
void quantize_vector(const F32QS8QuantizeArgs& args, const Quantizer& quantizer) {
  for (std::int32_t c = 0; c < args.channels; c += 16) {
    const std::int32_t left = args.channels - c;
    const auto present = static_cast<__mmask16>(left >= 16 ? 0xffffU : (1U << left) - 1U);
    const auto stored = static_cast<__mmask16>(left >= 16 ? 0xffffU : (1U << (left + 3) / 4 * 4) - 1U);
    const __m512i bytes = quantizer.quantize(_mm512_maskz_loadu_ps(present, args.in + c));
    const __m512i with_tail = _mm512_mask_mov_epi32(quantizer.zero_point, present, bytes);
    _mm_mask_storeu_epi8(args.out + c, stored, _mm512_cvtepi32_epi8(with_tail));
  }
}

}  // namespace

void f32_qs8_quantize_avx512vnni(const F32QS8QuantizeArgs& args) noexcept {
  const Quantizer quantizer{_mm512_set1_ps(args.scale), _mm512_set1_ps(args.range.lo), _mm512_set1_ps(args.range.hi),
                            _mm512_set1_epi32(args.range.zero_point)};
  if (args.pixels == 1 && args.out_plane_step == 4) {
    quantize_vector(args, quantizer);
    return;
  }
  for (std::int32_t c = 0; c < args.channels; c += 4) {
    const float* in = args.in + c * args.pixels;
    act_t* out = args.out + c / 4 * args.out_plane_step;
    const std::int32_t present = args.channels - c < 4 ? args.channels - c : 4;
    for (std::int64_t p = 0; p < args.pixels; p += 16) {
      const std::int64_t left = args.pixels - p;
      const __mmask16 mask = static_cast<__mmask16>(left >= 16 ? 0xffffU : (1U << left) - 1U);
      __m512i words = quantizer.quantize(_mm512_maskz_loadu_ps(mask, in + p));
      for (std::int32_t i = 1; i < 4; ++i) {
        const __m512i bytes = i < present ? quantizer.quantize(_mm512_maskz_loadu_ps(mask, in + i * args.pixels + p))
                                          : quantizer.zero_point;
        words = _mm512_or_si512(words, _mm512_slli_epi32(bytes, static_cast<unsigned>(8 * i)));
      }
      _mm512_mask_storeu_epi32(out + p * 4, mask, words);
    }
  }
}

}  // namespace edgeml::kernels
