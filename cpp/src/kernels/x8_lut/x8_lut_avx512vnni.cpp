// SPDX-License-Identifier: Apache-2.0
// x8_lut_avx512vnni: the table in four registers, 64 look-ups a step. Contract: x8_lut.h.
#if !defined(__AVX512BW__) || !defined(__AVX512VBMI__) || !defined(__AVX512VNNI__)
#error "built without the flags of avx512vnni: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/widen_avx512.h"
#include "kernels/x8_lut/x8_lut.h"

namespace edgeml::kernels {

void x8_lut_avx512vnni(const X8LutArgs& args) noexcept {
  const __m512i t0 = _mm512_loadu_si512(args.table);
  const __m512i t1 = _mm512_loadu_si512(args.table + 64);
  const __m512i t2 = _mm512_loadu_si512(args.table + 128);
  const __m512i t3 = _mm512_loadu_si512(args.table + 192);
  for (std::int64_t i = 0; i < args.n; i += 64) {
    const __mmask64 mask = tail_mask_512(args.n - i);
    const __m512i x = _mm512_maskz_loadu_epi8(mask, args.in + i);
    // The permutations look at the low seven bits; the top bit chooses the half of the table.
    const __m512i low = _mm512_permutex2var_epi8(t0, x, t1);
    const __m512i high = _mm512_permutex2var_epi8(t2, x, t3);
    _mm512_mask_storeu_epi8(args.out + i, mask, _mm512_mask_blend_epi8(_mm512_movepi8_mask(x), low, high));
  }
}

}  // namespace edgeml::kernels
