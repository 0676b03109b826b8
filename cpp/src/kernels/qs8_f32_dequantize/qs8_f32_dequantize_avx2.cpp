// SPDX-License-Identifier: Apache-2.0
// qs8_f32_dequantize_avx2: 8 words become 8 pixels of up to 4 planes. Contract: qs8_f32_dequantize.h.
#if !defined(__AVX2__)
#error "built without -mavx2: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_f32_dequantize/qs8_f32_dequantize.h"

namespace edgeml::kernels {
namespace {

constexpr int kStep = 8;

// One pixel whose channels stand side by side on both sides; returns how many channels are done.
std::int32_t dequantize_vector(const QS8F32DequantizeArgs& args) {
  const __m256i zero_point = _mm256_set1_epi32(args.zero_point);
  const __m256 scale = _mm256_set1_ps(args.scale);
  std::int32_t c = 0;
  for (; c + kStep <= args.channels; c += kStep) {
    const __m256i q = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(args.in + c)));
    _mm256_storeu_ps(args.out + c, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(q, zero_point)), scale));
  }
  return c;
}

}  // namespace

void qs8_f32_dequantize_avx2(const QS8F32DequantizeArgs& args) noexcept {
  const __m256i byte = _mm256_set1_epi32(0xff);
  const __m256i zero_point = _mm256_set1_epi32(args.zero_point);
  const __m256 scale = _mm256_set1_ps(args.scale);
  const bool vector = args.pixels == 1 && args.in_plane_step == 4;
  for (std::int32_t c = vector ? dequantize_vector(args) : 0; c < args.channels; ++c) {
    const act_t* in = args.in + c / 4 * args.in_plane_step;
    float* out = args.out + c * args.pixels;
    std::int64_t p = 0;
    for (; p + kStep <= args.pixels; p += kStep) {
      const __m256i words = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in + p * 4));
      const __m256i q = _mm256_and_si256(_mm256_srli_epi32(words, 8 * (c % 4)), byte);
      _mm256_storeu_ps(out + p, _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(q, zero_point)), scale));
    }
    for (; p < args.pixels; ++p) out[p] = static_cast<float>(in[p * 4 + c % 4] - args.zero_point) * args.scale;
  }
}

}  // namespace edgeml::kernels
