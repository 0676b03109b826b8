// SPDX-License-Identifier: Apache-2.0
// requantize.h on vectors of 8 (AVX2), the same bytes; requantize_avx512.h says why clamping may wait for the packs.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/requantize.h"

namespace edgeml::kernels {

struct OutputRange256 {
  __m256i zero_point;  // s16
  __m256i lo, hi;      // u8, stored domain
};

__attribute__((always_inline)) static inline OutputRange256 broadcast_range_256(const OutputRange& range) {
  return {_mm256_set1_epi16(static_cast<short>(range.zero_point)),
          _mm256_set1_epi8(static_cast<char>(static_cast<std::int32_t>(range.lo) + range.zero_point)),
          _mm256_set1_epi8(static_cast<char>(static_cast<std::int32_t>(range.hi) + range.zero_point))};
}

// True if each of 8 multipliers is below 1, so that round_256 is right for every accumulator.
__attribute__((always_inline)) static inline bool all_below_one_256(__m256 multipliers) {
  return _mm256_movemask_ps(_mm256_cmp_ps(multipliers, _mm256_set1_ps(1.0F), _CMP_NLT_UQ)) == 0;
}

// An accumulator, rounded but without zero point. |acc * multiplier| < 2^31.
__attribute__((always_inline)) static inline __m256i round_256(__m256i acc, __m256 multiplier) {
  return _mm256_cvtps_epi32(_mm256_mul_ps(_mm256_cvtepi32_ps(acc), multiplier));
}

// Four vectors of rounded results -> stored bytes: lane i of 128 bits holds lane i of r0, of r1, of r2 and of r3.
__attribute__((always_inline)) static inline __m256i pack_256(__m256i r0, __m256i r1, __m256i r2, __m256i r3,
                                                              const OutputRange256& range) {
  const __m256i r01 = _mm256_adds_epi16(_mm256_packs_epi32(r0, r1), range.zero_point);
  const __m256i r23 = _mm256_adds_epi16(_mm256_packs_epi32(r2, r3), range.zero_point);
  const __m256i packed = _mm256_packus_epi16(r01, r23);
  return _mm256_min_epu8(_mm256_max_epu8(packed, range.lo), range.hi);
}

}  // namespace edgeml::kernels
