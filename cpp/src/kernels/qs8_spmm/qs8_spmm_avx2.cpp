// SPDX-License-Identifier: Apache-2.0
// qs8_spmm_avx2: r output channels x a few vectors of 8 pixels, pixels in lanes. Contract: qs8_spmm.h.
//
//   x     8 words of a plane, as two vectors of s16      ymm  2 a vector   bytes 0 and 2 of a word, bytes 1 and 3
//   w     a word of the block as two pairs of s16        ymm  2
//   acc   4 channels x 2 vectors, 2 x 3 or 1 x 6         ymm  6 .. 8       8 pixels of one channel, starts at the bias
//
// A word's even bytes are what a mask leaves of it and its odd bytes what a shift leaves: both are s16 already, in the
// order in which qs8_spmm_pack.h has put the weights. Two vpmaddwd give one sum a pixel, without a shuffle, and
// exactly.
#if !defined(__AVX2__)
#error "built without -mavx2: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_spmm/qs8_spmm.h"
#include "kernels/qs8_spmm/qs8_spmm_tiles_avx2.h"

namespace edgeml::kernels {
namespace {

#define EDGEML_INLINE inline __attribute__((always_inline))

EDGEML_INLINE __m256i broadcast_pair(const std::int8_t* pair) {
  std::int32_t value;
  __builtin_memcpy(&value, pair, 4);
  return _mm256_set1_epi32(value);
}

// x & 0x00ff in each s16, the mask from memory: 4 x 2 accumulators leave it no register.
EDGEML_INLINE __m256i low_bytes(__m256i x) {
  static constexpr struct {
    alignas(32) std::uint16_t lanes[16];
  } kMask = {{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}};
  __m256i low;
  asm("vpand %2, %1, %0" : "=x"(low) : "x"(x), "m"(kMask));
  return low;
}

EDGEML_INLINE __m256i madd_add(__m256i acc, __m256i x, __m256i w) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(x, w));
}

// One vector of pixels times all channels of a block, whose weights are in registers. Accumulators are named by
// constants only: through a pointer GCC keeps them in memory.
template <int kVector, int kVectors, int kRows, int... kRow>
EDGEML_INLINE void multiply_vector(__m256i (&acc)[kRows * kVectors], const act_t* words, const __m256i (&w02)[kRows],
                                   const __m256i (&w13)[kRows], SpmmIndices<kRow...>) {
  const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words + kVector * 4 * kSpmmVector256));
  const __m256i even = _mm256_and_si256(x, _mm256_set1_epi16(0xff));
  const __m256i odd = _mm256_srli_epi16(x, 8);
  ((acc[kRow * kVectors + kVector] = madd_add(acc[kRow * kVectors + kVector], even, w02[kRow])), ...);
  ((acc[kRow * kVectors + kVector] = madd_add(acc[kRow * kVectors + kVector], odd, w13[kRow])), ...);
}

// One channel of a block of 4 rows times two vectors of pixels.
template <int kRow, int kVectors>
EDGEML_INLINE void multiply_row(__m256i (&acc)[4 * kVectors], const __m256i (&even)[2], const __m256i (&odd)[2],
                                const std::int8_t* word) {
  const __m256i w02 = broadcast_pair(word);
  acc[kRow * kVectors] = madd_add(acc[kRow * kVectors], even[0], w02);
  if constexpr (kVectors == 2) acc[kRow * 2 + 1] = madd_add(acc[kRow * 2 + 1], even[1], w02);
  const __m256i w13 = broadcast_pair(word + 4);
  acc[kRow * kVectors] = madd_add(acc[kRow * kVectors], odd[0], w13);
  if constexpr (kVectors == 2) acc[kRow * 2 + 1] = madd_add(acc[kRow * 2 + 1], odd[1], w13);
}

struct Level {
  static constexpr int kWordBytes = 8;  // of a channel of a packed block
  static constexpr int most_vectors(int block_rows) { return block_rows == 4 ? 2 : block_rows == 2 ? 3 : 6; }

  template <int kVectors, int kCount, int... kV, int... kRow>
  EDGEML_INLINE static void multiply_block(__m256i (&acc)[kCount], const act_t* words, const std::int8_t* w,
                                           SpmmIndices<kV...>, SpmmIndices<kRow...> rows) {
    constexpr int kRows = sizeof...(kRow);
    if constexpr (kRows == 4) {
      const auto* x = reinterpret_cast<const __m256i*>(words);
      const __m256i x0 = _mm256_loadu_si256(x);
      const __m256i x1 = kVectors == 2 ? _mm256_loadu_si256(x + 1) : x0;
      const __m256i even[2] = {low_bytes(x0), low_bytes(x1)};
      const __m256i odd[2] = {_mm256_srli_epi16(x0, 8), _mm256_srli_epi16(x1, 8)};
      (multiply_row<kRow, kVectors>(acc, even, odd, w + kRow * kWordBytes), ...);
    } else {
      const __m256i w02[kRows] = {broadcast_pair(w + kRow * kWordBytes)...};
      const __m256i w13[kRows] = {broadcast_pair(w + kRow * kWordBytes + 4)...};
      (multiply_vector<kV, kVectors>(acc, words, w02, w13, rows), ...);
    }
  }
};

}  // namespace

void qs8_spmm_avx2(const QS8SpmmArgs& args) noexcept { run_spmm_256<Level>(args); }

}  // namespace edgeml::kernels
