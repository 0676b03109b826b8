// SPDX-License-Identifier: Apache-2.0
// requantize.h on vectors of 16 (AVX-512), the same bytes. Static inline, as there.
//
// Clamping costs nothing until results are bytes: the saturating packs and a byte minimum and maximum do it. The zero
// point of the memory domain is in [0, 255], so saturation to s16, adding it, and saturation to u8 cut off nothing that
// the bounds keep. The one thing that has to be excluded is a product of 2^31 and more, which the conversion to
// integers turns into the most negative one; products of accumulators are smaller where the multiplier is below 1.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/requantize.h"

namespace edgeml::kernels {

struct OutputRange512 {
  __m512i zero_point;  // s16
  __m512i lo, hi;      // u8, stored domain
};

__attribute__((always_inline)) static inline OutputRange512 broadcast_range_512(const OutputRange& range) {
  return {_mm512_set1_epi16(static_cast<short>(range.zero_point)),
          _mm512_set1_epi8(static_cast<char>(static_cast<std::int32_t>(range.lo) + range.zero_point)),
          _mm512_set1_epi8(static_cast<char>(static_cast<std::int32_t>(range.hi) + range.zero_point))};
}

// True if each of 16 multipliers is below 1, so that round_512 is right for every accumulator.
__attribute__((always_inline)) static inline bool all_below_one_512(__m512 multipliers) {
  return _mm512_cmp_ps_mask(multipliers, _mm512_set1_ps(1.0F), _CMP_NLT_UQ) == 0;
}

// An accumulator, rounded but without zero point. |acc * multiplier| < 2^31.
__attribute__((always_inline)) static inline __m512i round_512(__m512i acc, __m512 multiplier) {
  return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_cvtepi32_ps(acc), multiplier));
}

// The same for multipliers of any size: clamped while it is a float, as requantize_f32 does.
__attribute__((always_inline)) static inline __m512i round_clamped_512(__m512i acc, __m512 multiplier,
                                                                       const OutputRange& range) {
  const __m512 p = _mm512_mul_ps(_mm512_cvtepi32_ps(acc), multiplier);
  return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(p, _mm512_set1_ps(range.lo)), _mm512_set1_ps(range.hi)));
}

// Four vectors of rounded results -> stored bytes: lane i of 128 bits holds lane i of r0, of r1, of r2 and of r3.
__attribute__((always_inline)) static inline __m512i pack_512(__m512i r0, __m512i r1, __m512i r2, __m512i r3,
                                                              const OutputRange512& range) {
  const __m512i r01 = _mm512_adds_epi16(_mm512_packs_epi32(r0, r1), range.zero_point);
  const __m512i r23 = _mm512_adds_epi16(_mm512_packs_epi32(r2, r3), range.zero_point);
  return _mm512_packus_epi16(r01, r23);
}

// The bounds of a fused activation; nothing to do where clamps() is false.
__attribute__((always_inline)) static inline __m512i clamp_512(__m512i packed, const OutputRange512& range) {
  return _mm512_min_epu8(_mm512_max_epu8(packed, range.lo), range.hi);
}

__attribute__((always_inline)) static inline bool clamps(const OutputRange& range) {
  return static_cast<std::int32_t>(range.lo) + range.zero_point > 0 ||
         static_cast<std::int32_t>(range.hi) + range.zero_point < 255;
}

}  // namespace edgeml::kernels
