// SPDX-License-Identifier: Apache-2.0
// qs8_spmm_avx512vnni: r output channels x up to 6 vectors of 16 pixels, pixels in lanes. Contract: qs8_spmm.h.
//
//   x     16 words of a plane                            zmm  1 a vector   u8: the unsigned operand of vpdpbusd
//   w     one word of the block, broadcast               zmm  1
//   acc   4 channels x 6 vectors, 2 x 6 or 1 x 4         zmm  4 .. 24      16 pixels of one channel, starts at the bias
//
// The four channels of a plane are rounded one row of blocks after the other. Two saturating packs leave, in each lane
// of 128 bits, the 4 pixels of channel 0, then of channels 1, 2 and 3; a byte shuffle makes them 4 words.
#if !defined(__AVX512VNNI__) || !defined(__AVX512BW__) || !defined(__AVX512VL__)
#error "built without -mavx512vnni: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_spmm/qs8_spmm.h"
#include "kernels/qs8_spmm/qs8_spmm_tiles.h"
#include "kernels/requantize_avx512.h"

namespace edgeml::kernels {
namespace {

#define EDGEML_INLINE inline __attribute__((always_inline))

constexpr int kVectorPixels = 16;
constexpr int kVectorBytes = 4 * kVectorPixels;

// One channel needs a load for every dot product, so its words should come from the first-level cache.
constexpr int most_vectors(int block_rows) { return block_rows == 1 ? 4 : 6; }

EDGEML_INLINE __m512i broadcast_word(const std::int8_t* word) {
  std::int32_t value;
  __builtin_memcpy(&value, word, 4);
  return _mm512_set1_epi32(value);
}

// One channel of a block. Accumulators are named by constants only: through a pointer GCC keeps them in memory.
template <int kFirst, int kVectors, int kCount, int... kV>
EDGEML_INLINE void multiply_word(__m512i (&acc)[kCount], const __m512i (&x)[kVectors], const std::int8_t* word,
                                 SpmmIndices<kV...>) {
  const __m512i w = broadcast_word(word);
  ((acc[kFirst + kV] = _mm512_dpbusd_epi32(acc[kFirst + kV], x[kV], w)), ...);
}

// GCC otherwise gives a sum one register in the loop and another one after it, and copies in every round.
EDGEML_INLINE void keep_in_register(__m512i& value) { asm("" : "+v"(value)); }

// One row of blocks: sums, rounded but without zero point, [row of the block][vector].
template <int kRows, int kVectors, int... kV, int... kRow, int... kI>
EDGEML_INLINE void compute_row(const QS8SpmmArgs& args, const act_t* in, std::int32_t row, bool fast,
                               __m512i (&rounded)[kRows * kVectors], SpmmIndices<kV...> vectors, SpmmIndices<kRow...>,
                               SpmmIndices<kI...>) {
  const std::int32_t* offset = args.offset + args.row_begin[row];
  const std::int32_t* const end = args.offset + args.row_begin[row + 1];
  const std::int8_t* w = args.weights + std::int64_t{args.row_begin[row]} * kRows * 4;
  const std::int32_t* bias = args.bias + row * kRows;
  __m512i acc[kRows * kVectors] = {_mm512_set1_epi32(bias[kI / kVectors])...};
  for (; offset != end; ++offset, w += kRows * 4) {
    const act_t* words = in + *offset;
    const __m512i x[kVectors] = {_mm512_loadu_si512(words + kV * kVectorBytes)...};
    (multiply_word<kRow * kVectors>(acc, x, w + kRow * 4, vectors), ...);
  }
  (keep_in_register(acc[kI]), ...);
  const float* m = args.multiplier + row * kRows;
  if (fast) [[likely]] {
    ((rounded[kI] = round_512(acc[kI], _mm512_set1_ps(m[kI / kVectors]))), ...);
  } else {
    ((rounded[kI] = round_clamped_512(acc[kI], _mm512_set1_ps(m[kI / kVectors]), args.range)), ...);
  }
}

struct Store {
  OutputRange512 range;
  bool clamps;
  __m512i by_pixel;  // byte shuffle: 4 pixels of each channel -> 4 words
};

// Words of the vector that begins at this pixel.
EDGEML_INLINE void store_words(const QS8SpmmArgs& args, __m512i words, std::int32_t pixel, act_t* plane) {
  if (args.strips == nullptr) {
    _mm512_storeu_si512(plane + std::int64_t{pixel} * 4, words);
    return;
  }
  const QS8SpmmStrip strip = args.strips[pixel / kVectorPixels];
  const auto outputs = static_cast<__mmask16>(strip.outputs);
  const auto first = static_cast<__mmask16>((1U << __builtin_popcount(strip.outputs)) - 1);
  _mm512_mask_storeu_epi32(plane + std::int64_t{strip.first_out} * 4, first,
                           _mm512_maskz_compress_epi32(outputs, words));
}

EDGEML_INLINE void finish_vector(const QS8SpmmArgs& args, const Store& store, __m512i r01, __m512i r23,
                                 std::int32_t pixel, act_t* plane) {
  __m512i packed = _mm512_packus_epi16(_mm512_adds_epi16(r01, store.range.zero_point),
                                       _mm512_adds_epi16(r23, store.range.zero_point));
  if (store.clamps) packed = clamp_512(packed, store.range);
  store_words(args, _mm512_shuffle_epi8(packed, store.by_pixel), pixel, plane);
}

// Channels first and first + 1 of a plane as saturated s16, [vector]. In rows of 4 all channels come at once.
template <int kRows, int kVectors, int... kV>
EDGEML_INLINE void pair_of(const QS8SpmmArgs& args, const act_t* in, std::int32_t row, bool fast,
                           __m512i (&pair)[kVectors], SpmmIndices<kV...> vectors) {
  constexpr SpmmMakeIndices<kRows * kVectors> kAll;
  __m512i first[kRows * kVectors];
  compute_row<kRows, kVectors>(args, in, row, fast, first, vectors, SpmmMakeIndices<kRows>{}, kAll);
  if constexpr (kRows == 2) {
    ((pair[kV] = _mm512_packs_epi32(first[kV], first[kVectors + kV])), ...);
  } else {
    __m512i next[kVectors];
    compute_row<1, kVectors>(args, in, row + 1, fast, next, vectors, SpmmMakeIndices<1>{}, kAll);
    ((pair[kV] = _mm512_packs_epi32(first[kV], next[kV])), ...);
  }
}

template <int kRows, int kVectors, int... kV>
EDGEML_INLINE void compute_plane(const QS8SpmmArgs& args, const Store& store, std::int32_t pixel, std::int32_t plane,
                                 SpmmIndices<kV...> vectors) {
  const act_t* in = args.in + std::int64_t{pixel} * 4;
  act_t* out = args.out + plane * args.out_plane_step;
  const float* m = args.multiplier + plane * std::int64_t{4};
  const bool fast = m[0] < 1.0F && m[1] < 1.0F && m[2] < 1.0F && m[3] < 1.0F;
  __m512i r01[kVectors];
  __m512i r23[kVectors];
  if constexpr (kRows == 4) {
    constexpr SpmmMakeIndices<4 * kVectors> kAll;
    __m512i rounded[4 * kVectors];
    compute_row<4, kVectors>(args, in, plane, fast, rounded, vectors, SpmmMakeIndices<4>{}, kAll);
    ((r01[kV] = _mm512_packs_epi32(rounded[kV], rounded[kVectors + kV])), ...);
    ((r23[kV] = _mm512_packs_epi32(rounded[2 * kVectors + kV], rounded[3 * kVectors + kV])), ...);
  } else {
    constexpr int kPairRows = 2 / kRows;
    pair_of<kRows, kVectors>(args, in, plane * 2 * kPairRows, fast, r01, vectors);
    pair_of<kRows, kVectors>(args, in, plane * 2 * kPairRows + kPairRows, fast, r23, vectors);
  }
  (finish_vector(args, store, r01[kV], r23[kV], pixel + kV * kVectorPixels, out), ...);
}

template <int kRows, int kVectors>
__attribute__((noinline)) void compute_planes(const QS8SpmmArgs& args, const Store& store, std::int32_t pixel) {
  for (std::int32_t plane = args.plane_begin; plane < args.plane_end; ++plane) {
    compute_plane<kRows, kVectors>(args, store, pixel, plane, SpmmMakeIndices<kVectors>{});
  }
}

template <int kRows, int... kI>
inline void run(const QS8SpmmArgs& args, const Store& store, SpmmIndices<kI...>) {
  static constexpr SpmmTile<Store> kTiles[] = {&compute_planes<kRows, kI + 1>...};
  walk_tiles<kVectorPixels>(args, store, kTiles);
}

}  // namespace

void qs8_spmm_avx512vnni(const QS8SpmmArgs& args) noexcept {
  const __m128i by_pixel = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const Store store{broadcast_range_512(args.range), clamps(args.range), _mm512_broadcast_i32x4(by_pixel)};
  switch (args.block_rows) {
    case 1:
      run<1>(args, store, SpmmMakeIndices<most_vectors(1)>{});
      break;
    case 2:
      run<2>(args, store, SpmmMakeIndices<most_vectors(2)>{});
      break;
    default:
      run<4>(args, store, SpmmMakeIndices<most_vectors(4)>{});
  }
}

}  // namespace edgeml::kernels
