// SPDX-License-Identifier: Apache-2.0
// requantize.h on vectors of 16 (AVX-512), the same bytes. Static inline, as there.
//
// Results are clamped from above before the conversion to integers, which cannot represent large ones, and from below
// by the saturating packs and a byte maximum: the zero point of the memory domain is never negative, so saturation to
// s16 and then to u8 loses nothing that the lower bound would not cut off.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/requantize.h"

namespace edgeml::kernels {

struct OutputRange512 {
  __m512 hi;
  __m512i zero_point;  // s16
  __m512i lo;          // u8, stored domain
};

__attribute__((always_inline)) static inline OutputRange512 broadcast_range_512(const OutputRange& range) {
  return {_mm512_set1_ps(range.hi), _mm512_set1_epi16(static_cast<short>(range.zero_point)),
          _mm512_set1_epi8(static_cast<char>(static_cast<std::int32_t>(range.lo) + range.zero_point))};
}

__attribute__((always_inline)) static inline __m512i round_512(__m512 p, const OutputRange512& range) {
  return _mm512_cvtps_epi32(_mm512_min_ps(p, range.hi));
}

// An accumulator, rounded but without zero point.
__attribute__((always_inline)) static inline __m512i round_512(__m512i acc, __m512 multiplier,
                                                               const OutputRange512& range) {
  return round_512(_mm512_mul_ps(_mm512_cvtepi32_ps(acc), multiplier), range);
}

// Four vectors of rounded results -> stored bytes: lane i of 128 bits holds lane i of r0, of r1, of r2 and of r3.
__attribute__((always_inline)) static inline __m512i pack_512(__m512i r0, __m512i r1, __m512i r2, __m512i r3,
                                                              const OutputRange512& range) {
  const __m512i r01 = _mm512_adds_epi16(_mm512_packs_epi32(r0, r1), range.zero_point);
  const __m512i r23 = _mm512_adds_epi16(_mm512_packs_epi32(r2, r3), range.zero_point);
  return _mm512_max_epu8(_mm512_packus_epi16(r01, r23), range.lo);
}

}  // namespace edgeml::kernels
