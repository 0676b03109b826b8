// SPDX-License-Identifier: Apache-2.0
// Stored activations -> int32, in the order that pack_256 (requantize_avx2.h) undoes.
#pragma once

#include <immintrin.h>

#include <cstdint>

namespace edgeml::kernels {

// Bytes 4j..4j+3 of each 128-bit lane, zero-extended: the j-th of four operands of pack_256.
template <int kJ>
__attribute__((always_inline)) static inline __m256i widen_256(__m256i bytes) {
  constexpr std::int32_t kZero = static_cast<std::int32_t>(0x80808000U);  // three zero bytes above the index
  const __m128i index =
      _mm_setr_epi32(kZero | (4 * kJ), kZero | (4 * kJ + 1), kZero | (4 * kJ + 2), kZero | (4 * kJ + 3));
  return _mm256_shuffle_epi8(bytes, _mm256_broadcastsi128_si256(index));
}

}  // namespace edgeml::kernels
