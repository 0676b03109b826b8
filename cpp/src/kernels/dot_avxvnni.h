// SPDX-License-Identifier: Apache-2.0
// The dot product of the avxvnni level: acc + the sum of 4 products u8 * s8, in each of 8 or 4 lanes. One place, so
// that a CPU without AVX-VNNI but with the same instruction in AVX-512 form can run the very same kernels in the tests
// (cmake/avxvnni_stand_in.cmake). Objects that ship are compiled with -mavxvnni alone.
#pragma once

#include <immintrin.h>

namespace edgeml::kernels {

__attribute__((always_inline)) static inline __m256i dot_256(__m256i acc, __m256i x, __m256i w) {
#if defined(__AVXVNNI__)
  return _mm256_dpbusd_avx_epi32(acc, x, w);
#elif defined(__AVX512VNNI__) && defined(__AVX512VL__)
  return _mm256_dpbusd_epi32(acc, x, w);
#else
#error "built without -mavxvnni: see cmake/isa_flags.cmake"
#endif
}

__attribute__((always_inline)) static inline __m128i dot_128(__m128i acc, __m128i x, __m128i w) {
#if defined(__AVXVNNI__)
  return _mm_dpbusd_avx_epi32(acc, x, w);
#else
  return _mm_dpbusd_epi32(acc, x, w);
#endif
}

}  // namespace edgeml::kernels
