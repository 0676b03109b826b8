// SPDX-License-Identifier: Apache-2.0
// qs8_vmul_avx512vnni: 64 elements a step. Contract: qs8_vmul.h. Products are below 2^16 and multipliers below 2^8, so
// nothing has to be clamped before the conversion to integers.
#if !defined(__AVX512BW__) || !defined(__AVX512VBMI__) || !defined(__AVX512VNNI__)
#error "built without the flags of avx512vnni: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_vmul/qs8_vmul.h"
#include "kernels/requantize_avx512.h"
#include "kernels/widen_avx512.h"

namespace edgeml::kernels {
namespace {

struct Multiplier {
  __m512i zero_point_a, zero_point_b;
  __m512 multiplier;

  template <int kJ>
  inline __attribute__((always_inline)) __m512i product(__m512i a, __m512i b) const {
    const __m512i wide_a = _mm512_sub_epi32(widen_512<kJ>(a), zero_point_a);
    const __m512i wide_b = _mm512_sub_epi32(widen_512<kJ>(b), zero_point_b);
    return round_512(_mm512_mullo_epi32(wide_a, wide_b), multiplier);
  }
};

}  // namespace

void qs8_vmul_avx512vnni(const QS8VmulArgs& args) noexcept {
  const OutputRange512 range = broadcast_range_512(args.range);
  const Multiplier m{_mm512_set1_epi32(args.zero_point_a), _mm512_set1_epi32(args.zero_point_b),
                     _mm512_set1_ps(args.multiplier)};
  std::int32_t word = 0;
  if (args.b_is_word) __builtin_memcpy(&word, args.b, sizeof(word));
  const __m512i words = _mm512_set1_epi32(word);
  for (std::int64_t i = 0; i < args.n; i += 64) {
    const __mmask64 mask = tail_mask_512(args.n - i);
    const __m512i a = _mm512_maskz_loadu_epi8(mask, args.a + i);
    const __m512i b = args.b_is_word ? words : _mm512_maskz_loadu_epi8(mask, args.b + i);
    const __m512i packed =
        pack_512(m.product<0>(a, b), m.product<1>(a, b), m.product<2>(a, b), m.product<3>(a, b), range);
    _mm512_mask_storeu_epi8(args.out + i, mask, clamp_512(packed, range));
  }
}

}  // namespace edgeml::kernels
