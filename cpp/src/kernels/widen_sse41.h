// SPDX-License-Identifier: Apache-2.0
// Stored activations -> int32, 4 at a time (SSE4.1), in the order that pack_128 (requantize_sse41.h) keeps.
#pragma once

#include <immintrin.h>

namespace edgeml::kernels {

// Bytes 4j..4j+3, zero-extended: the j-th of four operands of pack_128.
template <int kJ>
__attribute__((always_inline)) static inline __m128i widen_128(__m128i bytes) {
  return _mm_cvtepu8_epi32(_mm_srli_si128(bytes, 4 * kJ));
}

}  // namespace edgeml::kernels
