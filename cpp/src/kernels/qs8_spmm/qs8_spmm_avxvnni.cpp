// SPDX-License-Identifier: Apache-2.0
// qs8_spmm_avxvnni: r output channels x a few vectors of 8 pixels, pixels in lanes. Contract: qs8_spmm.h.
//
//   x     8 words of a plane                             ymm  1 a vector   u8: the unsigned operand of vpdpbusd
//   w     one word of the block, broadcast               ymm  1
//   acc   4 channels x 3 vectors, 2 x 4 or 1 x 6         ymm  6 .. 12      8 pixels of one channel, starts at the bias
#if !defined(__AVXVNNI__) && !defined(__AVX512VNNI__)
#error "built without -mavxvnni: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/dot_avxvnni.h"
#include "kernels/qs8_spmm/qs8_spmm.h"
#include "kernels/qs8_spmm/qs8_spmm_tiles_avx2.h"

namespace edgeml::kernels {
namespace {

#define EDGEML_INLINE inline __attribute__((always_inline))

EDGEML_INLINE __m256i broadcast_word(const std::int8_t* word) {
  std::int32_t value;
  __builtin_memcpy(&value, word, 4);
  return _mm256_set1_epi32(value);
}

// One channel of a block. Accumulators are named by constants only: through a pointer GCC keeps them in memory.
template <int kFirst, int kVectors, int kCount, int... kV>
EDGEML_INLINE void multiply_word(__m256i (&acc)[kCount], const __m256i (&x)[kVectors], const std::int8_t* word,
                                 SpmmIndices<kV...>) {
  const __m256i w = broadcast_word(word);
  ((acc[kFirst + kV] = dot_256(acc[kFirst + kV], x[kV], w)), ...);
}

struct Level {
  static constexpr int kWordBytes = 4;  // of a channel of a packed block
  static constexpr int most_vectors(int block_rows) { return block_rows == 4 ? 3 : block_rows == 2 ? 4 : 6; }

  template <int kVectors, int kCount, int... kV, int... kRow>
  EDGEML_INLINE static void multiply_block(__m256i (&acc)[kCount], const act_t* words, const std::int8_t* w,
                                           SpmmIndices<kV...> vectors, SpmmIndices<kRow...>) {
    const __m256i x[kVectors] = {
        _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + kV * 4 * kSpmmVector256))...};
    (multiply_word<kRow * kVectors>(acc, x, w + kRow * kWordBytes, vectors), ...);
  }
};

}  // namespace

void qs8_spmm_avxvnni(const QS8SpmmArgs& args) noexcept { run_spmm_256<Level>(args); }

}  // namespace edgeml::kernels
