// SPDX-License-Identifier: Apache-2.0
// f32_qs8_quantize_avx2: 8 pixels of 4 planes become 8 words. Contract: f32_qs8_quantize.h.
#if !defined(__AVX2__)
#error "built without -mavx2: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/f32_qs8_quantize/f32_qs8_quantize.h"

namespace edgeml::kernels {
namespace {

constexpr int kStep = 8;

struct Quantizer {
  __m256 scale, lo, hi;
  __m256i zero_point;

  // 8 floats -> stored bytes, one in each 32-bit element.
  inline __attribute__((always_inline)) __m256i quantize(__m256 x) const {
    const __m256 is_number = _mm256_cmp_ps(x, x, _CMP_ORD_Q);
    const __m256 clamped = _mm256_min_ps(_mm256_max_ps(_mm256_div_ps(x, scale), lo), hi);
    return _mm256_add_epi32(_mm256_cvtps_epi32(_mm256_and_ps(clamped, is_number)), zero_point);
  }
  // Words of 8 pixels; present: planes that exist, step floats apart.
  inline __attribute__((always_inline)) void step(const float* in, std::int64_t plane_step, std::int32_t present,
                                                  act_t* out) const {
    __m256i words = quantize(_mm256_loadu_ps(in));
    for (int i = 1; i < 4; ++i) {
      const __m256i bytes = i < present ? quantize(_mm256_loadu_ps(in + i * plane_step)) : zero_point;
      words = _mm256_or_si256(words, _mm256_slli_epi32(bytes, 8 * i));
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), words);
  }
};

// One pixel whose channels stand side by side on both sides; the last, partial group of channels is left out.
std::int32_t quantize_vector(const F32QS8QuantizeArgs& args, const Quantizer& quantizer) {
  const __m256i low_bytes =
      _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1, -1));
  std::int32_t c = 0;
  for (; c + kStep <= args.channels; c += kStep) {
    const __m256i bytes = _mm256_shuffle_epi8(quantizer.quantize(_mm256_loadu_ps(args.in + c)), low_bytes);
    const __m128i packed = _mm_unpacklo_epi32(_mm256_castsi256_si128(bytes), _mm256_extracti128_si256(bytes, 1));
    _mm_storel_epi64(reinterpret_cast<__m128i*>(args.out + c), packed);
  }
  return c;
}

}  // namespace

void f32_qs8_quantize_avx2(const F32QS8QuantizeArgs& args) noexcept {
  const Quantizer quantizer{_mm256_set1_ps(args.scale), _mm256_set1_ps(args.range.lo), _mm256_set1_ps(args.range.hi),
                            _mm256_set1_epi32(args.range.zero_point)};
  const bool vector = args.pixels == 1 && args.out_plane_step == 4;
  for (std::int32_t c = vector ? quantize_vector(args, quantizer) : 0; c < args.channels; c += 4) {
    const float* in = args.in + c * args.pixels;
    act_t* out = args.out + c / 4 * args.out_plane_step;
    const std::int32_t present = args.channels - c < 4 ? args.channels - c : 4;
    std::int64_t p = 0;
    for (; p + kStep <= args.pixels; p += kStep) quantizer.step(in + p, args.pixels, present, out + p * 4);
    if (p == args.pixels) continue;
    const auto left = static_cast<std::size_t>(args.pixels - p);
    float planes[4 * kStep] = {};
    act_t words[4 * kStep];
    for (std::int32_t i = 0; i < present; ++i) {
      __builtin_memcpy(planes + i * kStep, in + i * args.pixels + p, left * sizeof(float));
    }
    quantizer.step(planes, kStep, present, words);
    __builtin_memcpy(out + p * 4, words, left * 4);
  }
}

}  // namespace edgeml::kernels
