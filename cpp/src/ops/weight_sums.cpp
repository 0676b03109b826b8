// SPDX-License-Identifier: Apache-2.0
#include "ops/weight_sums.h"

#include <cstddef>

#if defined(__x86_64__)
#include <emmintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace edgeml {
namespace {

void add(WeightSums& sums, std::int8_t weight) noexcept {
  sums.sum += weight;
  sums.magnitude += weight < 0 ? -weight : weight;
  sums.has_minus_128 |= weight == -128;
}

// Adds the whole vectors of 16 and returns how many weights they were. Both forms hold for every int8, -128 included:
// its absolute value is 128 as an unsigned byte.
#if defined(__x86_64__)
std::size_t add_vectors(std::span<const std::int8_t> weights, WeightSums& sums) noexcept {
  const __m128i zero = _mm_setzero_si128();
  const __m128i flip = _mm_set1_epi8(-128);
  __m128i sum = zero;        // of w + 128, two lanes of 64 bits
  __m128i magnitude = zero;  // the same
  __m128i minus_128 = zero;
  std::size_t i = 0;
  for (; i + 16 <= weights.size(); i += 16) {
    const __m128i w = _mm_loadu_si128(reinterpret_cast<const __m128i*>(weights.data() + i));
    const __m128i negative = _mm_cmpgt_epi8(zero, w);
    sum = _mm_add_epi64(sum, _mm_sad_epu8(_mm_xor_si128(w, flip), zero));
    magnitude = _mm_add_epi64(magnitude, _mm_sad_epu8(_mm_sub_epi8(_mm_xor_si128(w, negative), negative), zero));
    minus_128 = _mm_or_si128(minus_128, _mm_cmpeq_epi8(w, flip));
  }
  const auto total = [](__m128i lanes) {
    return _mm_cvtsi128_si64(lanes) + _mm_cvtsi128_si64(_mm_unpackhi_epi64(lanes, lanes));
  };
  sums.sum += total(sum) - 128 * static_cast<std::int64_t>(i);
  sums.magnitude += total(magnitude);
  sums.has_minus_128 |= _mm_movemask_epi8(minus_128) != 0;
  return i;
}
#elif defined(__aarch64__)
std::size_t add_vectors(std::span<const std::int8_t> weights, WeightSums& sums) noexcept {
  int64x2_t sum = vdupq_n_s64(0);
  uint64x2_t magnitude = vdupq_n_u64(0);
  uint8x16_t minus_128 = vdupq_n_u8(0);
  std::size_t i = 0;
  for (; i + 16 <= weights.size(); i += 16) {
    const int8x16_t w = vld1q_s8(weights.data() + i);
    sum = vpadalq_s32(sum, vpaddlq_s16(vpaddlq_s8(w)));
    magnitude = vpadalq_u32(magnitude, vpaddlq_u16(vpaddlq_u8(vreinterpretq_u8_s8(vabsq_s8(w)))));
    minus_128 = vorrq_u8(minus_128, vceqq_s8(w, vdupq_n_s8(-128)));
  }
  sums.sum += vaddvq_s64(sum);
  sums.magnitude += static_cast<std::int64_t>(vaddvq_u64(magnitude));
  sums.has_minus_128 |= vmaxvq_u8(minus_128) != 0;
  return i;
}
#else
std::size_t add_vectors(std::span<const std::int8_t>, WeightSums&) noexcept { return 0; }
#endif

}  // namespace

WeightSums weight_sums(std::span<const std::int8_t> weights) noexcept {
  WeightSums sums;
  for (const std::int8_t weight : weights.subspan(add_vectors(weights, sums))) add(sums, weight);
  return sums;
}

WeightSums weight_sums(const std::int8_t* weights, std::int64_t count, std::int64_t step) noexcept {
  if (step == 1) return weight_sums({weights, static_cast<std::size_t>(count)});
  WeightSums sums;
  for (std::int64_t i = 0; i < count; ++i) add(sums, weights[i * step]);
  return sums;
}

}  // namespace edgeml
