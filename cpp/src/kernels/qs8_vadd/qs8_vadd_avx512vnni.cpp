// SPDX-License-Identifier: Apache-2.0
// qs8_vadd_avx512vnni: 64 elements a step. Contract: qs8_vadd.h. Sums are below 2^17, so nothing has to be clamped
// before the conversion to integers.
#if !defined(__AVX512BW__) || !defined(__AVX512VBMI__) || !defined(__AVX512VNNI__)
#error "built without the flags of avx512vnni: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_vadd/qs8_vadd.h"
#include "kernels/requantize_avx512.h"
#include "kernels/widen_avx512.h"

namespace edgeml::kernels {
namespace {

struct Operand {
  __m512i zero_point;
  __m512 multiplier;
};

template <int kJ>
inline __attribute__((always_inline)) __m512 scale(__m512i bytes, const Operand& operand) {
  return _mm512_mul_ps(_mm512_cvtepi32_ps(_mm512_sub_epi32(widen_512<kJ>(bytes), operand.zero_point)),
                       operand.multiplier);
}

template <int kJ>
inline __attribute__((always_inline)) __m512i add(__m512i a, const Operand& of_a, __m512i b, const Operand& of_b) {
  return _mm512_cvtps_epi32(_mm512_add_ps(scale<kJ>(a, of_a), scale<kJ>(b, of_b)));
}

}  // namespace

void qs8_vadd_avx512vnni(const QS8VaddArgs& args) noexcept {
  const OutputRange512 range = broadcast_range_512(args.range);
  const Operand of_a{_mm512_set1_epi32(args.zero_point_a), _mm512_set1_ps(args.multiplier_a)};
  const Operand of_b{_mm512_set1_epi32(args.zero_point_b), _mm512_set1_ps(args.multiplier_b)};
  for (std::int64_t i = 0; i < args.n; i += 64) {
    const __mmask64 mask = tail_mask_512(args.n - i);
    const __m512i a = _mm512_maskz_loadu_epi8(mask, args.a + i);
    const __m512i b = _mm512_maskz_loadu_epi8(mask, args.b + i);
    const __m512i packed = pack_512(add<0>(a, of_a, b, of_b), add<1>(a, of_a, b, of_b), add<2>(a, of_a, b, of_b),
                                    add<3>(a, of_a, b, of_b), range);
    _mm512_mask_storeu_epi8(args.out + i, mask, clamp_512(packed, range));
  }
}

}  // namespace edgeml::kernels
