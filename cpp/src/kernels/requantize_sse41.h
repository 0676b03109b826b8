// SPDX-License-Identifier: Apache-2.0
// requantize.h on vectors of 4 (SSE4.1), the same bytes. Static inline, as there. Products are clamped before they
// become integers, so every accumulator and multiplier is right and bytes need no bounds of their own.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/requantize.h"

namespace edgeml::kernels {

struct OutputRange128 {
  __m128 lo, hi;
  __m128i zero_point;  // s16
};

__attribute__((always_inline)) static inline OutputRange128 broadcast_range_128(const OutputRange& range) {
  return {_mm_set1_ps(range.lo), _mm_set1_ps(range.hi), _mm_set1_epi16(static_cast<short>(range.zero_point))};
}

// Scaled sums -> integers without zero point, in [-255, 255].
__attribute__((always_inline)) static inline __m128i round_f32_128(__m128 p, const OutputRange128& range) {
  return _mm_cvtps_epi32(_mm_min_ps(_mm_max_ps(p, range.lo), range.hi));
}

__attribute__((always_inline)) static inline __m128i round_128(__m128i acc, __m128 multiplier,
                                                               const OutputRange128& range) {
  return round_f32_128(_mm_mul_ps(_mm_cvtepi32_ps(acc), multiplier), range);
}

// 16 rounded results -> stored bytes, in order.
__attribute__((always_inline)) static inline __m128i pack_128(__m128i r0, __m128i r1, __m128i r2, __m128i r3,
                                                              const OutputRange128& range) {
  return _mm_packus_epi16(_mm_add_epi16(_mm_packs_epi32(r0, r1), range.zero_point),
                          _mm_add_epi16(_mm_packs_epi32(r2, r3), range.zero_point));
}

}  // namespace edgeml::kernels
