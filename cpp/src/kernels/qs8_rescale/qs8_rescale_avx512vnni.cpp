// SPDX-License-Identifier: Apache-2.0
// qs8_rescale_avx512vnni: 64 elements a step. Contract: qs8_rescale.h. Products are below 2^16, so nothing has to be
// clamped before the conversion to integers.
#if !defined(__AVX512BW__) || !defined(__AVX512VBMI__) || !defined(__AVX512VNNI__)
#error "built without the flags of avx512vnni: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_rescale/qs8_rescale.h"
#include "kernels/requantize_avx512.h"
#include "kernels/widen_avx512.h"

namespace edgeml::kernels {
namespace {

template <int kJ>
inline __attribute__((always_inline)) __m512i rescale(__m512i bytes, __m512i zero_point, __m512 multiplier) {
  return round_512(_mm512_sub_epi32(widen_512<kJ>(bytes), zero_point), multiplier);
}

}  // namespace

void qs8_rescale_avx512vnni(const QS8RescaleArgs& args) noexcept {
  const OutputRange512 range = broadcast_range_512(args.range);
  const __m512i z = _mm512_set1_epi32(args.zero_point);
  const __m512 m = _mm512_set1_ps(args.multiplier);
  for (std::int64_t i = 0; i < args.n; i += 64) {
    const __mmask64 mask = tail_mask_512(args.n - i);
    const __m512i x = _mm512_maskz_loadu_epi8(mask, args.in + i);
    const __m512i packed =
        pack_512(rescale<0>(x, z, m), rescale<1>(x, z, m), rescale<2>(x, z, m), rescale<3>(x, z, m), range);
    _mm512_mask_storeu_epi8(args.out + i, mask, clamp_512(packed, range));
  }
}

}  // namespace edgeml::kernels
