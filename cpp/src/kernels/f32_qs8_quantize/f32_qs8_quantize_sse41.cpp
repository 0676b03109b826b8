// SPDX-License-Identifier: Apache-2.0
// f32_qs8_quantize_sse41: 4 pixels of 4 planes become 4 words. Contract: f32_qs8_quantize.h.
#if !defined(__SSE4_1__)
#error "built without -msse4.1: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/f32_qs8_quantize/f32_qs8_quantize.h"
#include "kernels/requantize_sse41.h"

namespace edgeml::kernels {
namespace {

constexpr int kStep = 4;

struct Quantizer {
  __m128 scale;
  OutputRange128 range;

  // 4 floats -> integers without zero point; 0, which becomes the zero point, for NaN.
  inline __attribute__((always_inline)) __m128i quantize(__m128 x) const {
    const __m128 is_number = _mm_cmpord_ps(x, x);
    const __m128 clamped = _mm_min_ps(_mm_max_ps(_mm_div_ps(x, scale), range.lo), range.hi);
    return _mm_cvtps_epi32(_mm_and_ps(clamped, is_number));
  }
  // Words of 4 pixels; present: planes that exist, step floats apart.
  inline __attribute__((always_inline)) void step(const float* in, std::int64_t plane_step, std::int32_t present,
                                                  act_t* out) const {
    __m128i planes[4];
    for (int i = 0; i < 4; ++i) {
      planes[i] = i < present ? quantize(_mm_loadu_ps(in + i * plane_step)) : _mm_setzero_si128();
    }
    const __m128i by_plane = pack_128(planes[0], planes[1], planes[2], planes[3], range);
    const __m128i by_pixel = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), _mm_shuffle_epi8(by_plane, by_pixel));
  }
};

// One pixel whose channels stand side by side on both sides; returns how many channels are done.
std::int32_t quantize_vector(const F32QS8QuantizeArgs& args, const Quantizer& quantizer) {
  std::int32_t c = 0;
  for (; c + 16 <= args.channels; c += 16) {
    const float* in = args.in + c;
    _mm_storeu_si128(
        reinterpret_cast<__m128i*>(args.out + c),
        pack_128(quantizer.quantize(_mm_loadu_ps(in)), quantizer.quantize(_mm_loadu_ps(in + 4)),
                 quantizer.quantize(_mm_loadu_ps(in + 8)), quantizer.quantize(_mm_loadu_ps(in + 12)), quantizer.range));
  }
  return c;
}

}  // namespace

void f32_qs8_quantize_sse41(const F32QS8QuantizeArgs& args) noexcept {
  const Quantizer quantizer{_mm_set1_ps(args.scale), broadcast_range_128(args.range)};
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
