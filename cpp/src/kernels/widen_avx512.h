// SPDX-License-Identifier: Apache-2.0
// Stored activations -> int32, in the order that pack_512 (requantize_avx512.h) undoes.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace edgeml::kernels {

// Bytes 4j..4j+3 of each 128-bit lane, zero-extended: the j-th of four operands of pack_512.
template <int kJ>
__attribute__((always_inline)) static inline __m512i widen_512(__m512i bytes) {
  constexpr std::int32_t kZero = static_cast<std::int32_t>(0x80808000U);  // three zero bytes above the index
  const __m128i index =
      _mm_setr_epi32(kZero | (4 * kJ), kZero | (4 * kJ + 1), kZero | (4 * kJ + 2), kZero | (4 * kJ + 3));
  return _mm512_shuffle_epi8(bytes, _mm512_broadcast_i32x4(index));
}

// Mask of the bytes that are left, all of 64 if there are more.
__attribute__((always_inline)) static inline __mmask64 tail_mask_512(std::int64_t left) {
  return left >= 64 ? ~__mmask64{0} : (__mmask64{1} << left) - 1;
}

}  // namespace edgeml::kernels
