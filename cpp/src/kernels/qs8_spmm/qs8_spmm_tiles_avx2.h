// SPDX-License-Identifier: Apache-2.0
// The loops of the qs8_spmm kernels with vectors of 8 pixels around what a level multiplies with. A level is a class of
// the kernel's own file, which is why these templates are instantiated there and nowhere else:
//
//   kWordBytes                       of one channel of a packed block
//   most_vectors(block_rows)         that its registers hold
//   multiply_block<vectors>(...)     acc += a block times its words
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_spmm/qs8_spmm.h"
#include "kernels/qs8_spmm/qs8_spmm_store_avx2.h"
#include "kernels/qs8_spmm/qs8_spmm_tiles.h"

namespace edgeml::kernels {

inline constexpr int kSpmmVector256 = 8;  // pixels

// GCC otherwise gives a sum one register in the loop and another one after it, and copies in every round.
__attribute__((always_inline)) static inline void keep_in_register_256(__m256i& value) { asm("" : "+x"(value)); }

// One row of blocks: sums, rounded but without zero point, [row of the block][vector].
template <class Level, int kRows, int kVectors, int... kV, int... kRow, int... kI>
__attribute__((always_inline)) static inline void compute_row(const QS8SpmmArgs& args, const act_t* in,
                                                              std::int32_t row, bool fast,
                                                              __m256i (&rounded)[kRows * kVectors],
                                                              SpmmIndices<kV...> vectors, SpmmIndices<kRow...> rows,
                                                              SpmmIndices<kI...>) {
  const std::int32_t* offset = args.offset + args.row_begin[row];
  const std::int32_t* const end = args.offset + args.row_begin[row + 1];
  const std::int8_t* w = args.weights + std::int64_t{args.row_begin[row]} * kRows * Level::kWordBytes;
  const std::int32_t* bias = args.bias + row * kRows;
  __m256i acc[kRows * kVectors] = {_mm256_set1_epi32(bias[kI / kVectors])...};
  for (; offset != end; ++offset, w += kRows * Level::kWordBytes)
    Level::template multiply_block<kVectors>(acc, in + *offset, w, vectors, rows);
  (keep_in_register_256(acc[kI]), ...);
  const float* m = args.multiplier + row * kRows;
  ((rounded[kI] = spmm_round_256(args, fast, acc[kI], _mm256_set1_ps(m[kI / kVectors]))), ...);
}

// Channels of two neighbouring rows of 1, or of a row of 2, as saturated s16, [vector].
template <class Level, int kRows, int kVectors, int... kV>
__attribute__((always_inline)) static inline void pair_of(const QS8SpmmArgs& args, const act_t* in, std::int32_t row,
                                                          bool fast, __m256i (&pair)[kVectors],
                                                          SpmmIndices<kV...> vectors) {
  constexpr SpmmMakeIndices<kRows * kVectors> kAll;
  __m256i first[kRows * kVectors];
  compute_row<Level, kRows, kVectors>(args, in, row, fast, first, vectors, SpmmMakeIndices<kRows>{}, kAll);
  if constexpr (kRows == 2) {
    ((pair[kV] = _mm256_packs_epi32(first[kV], first[kVectors + kV])), ...);
  } else {
    __m256i next[kVectors];
    compute_row<Level, 1, kVectors>(args, in, row + 1, fast, next, vectors, SpmmMakeIndices<1>{}, kAll);
    ((pair[kV] = _mm256_packs_epi32(first[kV], next[kV])), ...);
  }
}

template <class Level, int kRows, int kVectors, int... kV>
__attribute__((always_inline)) static inline void compute_plane(const QS8SpmmArgs& args, const SpmmStore256& store,
                                                                std::int32_t pixel, std::int32_t plane,
                                                                SpmmIndices<kV...> vectors) {
  const act_t* in = args.in + std::int64_t{pixel} * 4;
  act_t* out = args.out + plane * args.out_plane_step;
  const float* m = args.multiplier + plane * std::int64_t{4};
  const bool fast = m[0] < 1.0F && m[1] < 1.0F && m[2] < 1.0F && m[3] < 1.0F;
  __m256i r01[kVectors];
  __m256i r23[kVectors];
  if constexpr (kRows == 4) {
    __m256i rounded[4 * kVectors];
    compute_row<Level, 4, kVectors>(args, in, plane, fast, rounded, vectors, SpmmMakeIndices<4>{},
                                    SpmmMakeIndices<4 * kVectors>{});
    ((r01[kV] = _mm256_packs_epi32(rounded[kV], rounded[kVectors + kV])), ...);
    ((r23[kV] = _mm256_packs_epi32(rounded[2 * kVectors + kV], rounded[3 * kVectors + kV])), ...);
  } else {
    constexpr int kPairRows = 2 / kRows;
    pair_of<Level, kRows, kVectors>(args, in, plane * 2 * kPairRows, fast, r01, vectors);
    pair_of<Level, kRows, kVectors>(args, in, plane * 2 * kPairRows + kPairRows, fast, r23, vectors);
  }
  (spmm_finish_256(args, store, r01[kV], r23[kV], pixel + kV * kSpmmVector256, out), ...);
}

template <class Level, int kRows, int kVectors>
__attribute__((noinline)) static void compute_planes(const QS8SpmmArgs& args, const SpmmStore256& store,
                                                     std::int32_t pixel) {
  for (std::int32_t plane = args.plane_begin; plane < args.plane_end; ++plane) {
    compute_plane<Level, kRows, kVectors>(args, store, pixel, plane, SpmmMakeIndices<kVectors>{});
  }
}

template <class Level, int kRows, int... kI>
static inline void run_tiles(const QS8SpmmArgs& args, const SpmmStore256& store, SpmmIndices<kI...>) {
  static constexpr SpmmTile<SpmmStore256> kTiles[] = {&compute_planes<Level, kRows, kI + 1>...};
  walk_tiles<kSpmmVector256>(args, store, kTiles);
}

template <class Level>
static inline void run_spmm_256(const QS8SpmmArgs& args) {
  const SpmmStore256 store = spmm_store_256(args);
  switch (args.block_rows) {
    case 1:
      run_tiles<Level, 1>(args, store, SpmmMakeIndices<Level::most_vectors(1)>{});
      break;
    case 2:
      run_tiles<Level, 2>(args, store, SpmmMakeIndices<Level::most_vectors(2)>{});
      break;
    default:
      run_tiles<Level, 4>(args, store, SpmmMakeIndices<Level::most_vectors(4)>{});
  }
}

}  // namespace edgeml::kernels
