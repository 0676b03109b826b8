// SPDX-License-Identifier: Apache-2.0
// The loops of the qs8_spmm kernels of 64-bit ARM around what a level multiplies with, and the stores. A level is a
// class of the kernel's own file, which is why these templates are instantiated there and nowhere else:
//
//   most_vectors(block_rows)               of 4 pixels in a tile
//   sum_row<rows, vectors, first>(...)     the sums of a row of blocks, [channel][vector], from channel `first` on
#pragma once

#include <arm_neon.h>

#include <cstdint>

#include "kernels/qs8_spmm/qs8_spmm.h"
#include "kernels/qs8_spmm/qs8_spmm_tiles.h"
#include "kernels/requantize_neon.h"

namespace edgeml::kernels {

inline constexpr int kSpmmVectorNeon = 4;  // pixels

// Names a value's register: the compiler otherwise gives a sum one in the loop and another one after it.
__attribute__((always_inline)) static inline void keep_in_register_neon(int32x4_t& value) { asm("" : "+w"(value)); }

// A function, for Clang's vld1q_s8 is a macro, in whose arguments a pack does not expand.
__attribute__((always_inline)) static inline int8x16_t load_pixels_neon(const act_t* words) { return vld1q_s8(words); }

struct SpmmStoreNeon {
  OutputRangeNeon range;
  uint8x16_t by_pixel;     // byte shuffle: 4 pixels of each channel -> 4 words
  std::int64_t out_limit;  // with strips: behind the last output of the call
};

static inline SpmmStoreNeon spmm_store_neon(const QS8SpmmArgs& args) {
  static constexpr std::uint8_t kByPixel[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};
  SpmmStoreNeon store{broadcast(args.range), vld1q_u8(kByPixel), 0};
  if (args.strips != nullptr) {
    const QS8SpmmStrip last = args.strips[(args.pixel_end - 1) / kSpmmStripPixels];
    store.out_limit = std::int64_t{last.first_out} + __builtin_popcount(last.outputs);
  }
  return store;
}

// By a mask of 4 words: the bytes of those that are in it, in order.
struct SpmmOrderNeon {
  std::uint8_t bytes[16][16];
  constexpr SpmmOrderNeon() : bytes() {
    for (unsigned mask = 0; mask < 16; ++mask) {
      int count = 0;
      for (unsigned i = 0; i < 16; ++i) {
        if ((mask >> (i / 4) & 1U) != 0) bytes[mask][count++] = static_cast<std::uint8_t>(i);
      }
    }
  }
};
static constexpr SpmmOrderNeon kSpmmOrderNeon;

// The outputs among 4 words go side by side. Behind them other outputs of the call follow, which are stored later, so
// that a whole vector may be written except at the call's end.
static inline void spmm_store_strip_neon(const QS8SpmmArgs& args, int8x16_t words, std::int32_t pixel,
                                         std::int64_t out_limit, act_t* plane) {
  const QS8SpmmStrip strip = args.strips[pixel / kSpmmStripPixels];
  const std::int32_t first = pixel % kSpmmStripPixels;
  const std::uint32_t outputs = strip.outputs >> first & 0xfU;
  const std::int64_t place = strip.first_out + __builtin_popcount(strip.outputs & ((1U << first) - 1));
  const int8x16_t packed = vqtbl1q_s8(words, vld1q_u8(kSpmmOrderNeon.bytes[outputs]));
  if (place + kSpmmVectorNeon <= out_limit) {
    vst1q_s8(plane + place * 4, packed);
    return;
  }
  std::int8_t bytes[16];
  vst1q_s8(bytes, packed);
  for (std::int32_t i = 0; i < __builtin_popcount(outputs); ++i) {
    __builtin_memcpy(plane + (place + i) * 4, bytes + i * std::int64_t{4}, 4);
  }
}

// The sums of 4 channels, 4 pixels each.
__attribute__((always_inline)) static inline void spmm_finish_neon(const QS8SpmmArgs& args, const SpmmStoreNeon& store,
                                                                   int32x4_t c0, int32x4_t c1, int32x4_t c2,
                                                                   int32x4_t c3, const float* m, std::int32_t pixel,
                                                                   act_t* plane) {
  const int8x16_t bytes =
      requantize_f32_neon(vmulq_n_f32(vcvtq_f32_s32(c0), m[0]), vmulq_n_f32(vcvtq_f32_s32(c1), m[1]),
                          vmulq_n_f32(vcvtq_f32_s32(c2), m[2]), vmulq_n_f32(vcvtq_f32_s32(c3), m[3]), store.range);
  const int8x16_t words = vqtbl1q_s8(bytes, store.by_pixel);
  if (args.strips == nullptr) {
    vst1q_s8(plane + std::int64_t{pixel} * 4, words);
  } else {
    spmm_store_strip_neon(args, words, pixel, store.out_limit, plane);
  }
}

template <class Level, int kRows, int kVectors, int... kV, int... kRow>
__attribute__((always_inline)) static inline void compute_plane(const QS8SpmmArgs& args, const SpmmStoreNeon& store,
                                                                std::int32_t pixel, std::int32_t plane,
                                                                SpmmIndices<kV...> /*vectors*/,
                                                                SpmmIndices<kRow...> /*rows of blocks*/) {
  const act_t* in = args.in + std::int64_t{pixel} * 4;
  act_t* out = args.out + plane * args.out_plane_step;
  const float* m = args.multiplier + plane * std::int64_t{4};
  int32x4_t sums[4 * kVectors];
  (Level::template sum_row<kRows, kVectors, kRow * kRows>(args, in, plane * (4 / kRows) + kRow, sums,
                                                          SpmmMakeIndices<kVectors>{}, SpmmMakeIndices<kRows>{},
                                                          SpmmMakeIndices<kRows * kVectors>{}),
   ...);
  (spmm_finish_neon(args, store, sums[kV], sums[kVectors + kV], sums[2 * kVectors + kV], sums[3 * kVectors + kV], m,
                    pixel + kV * kSpmmVectorNeon, out),
   ...);
}

template <class Level, int kRows, int kVectors>
__attribute__((noinline)) static void compute_planes(const QS8SpmmArgs& args, const SpmmStoreNeon& store,
                                                     std::int32_t pixel) {
  for (std::int32_t plane = args.plane_begin; plane < args.plane_end; ++plane) {
    compute_plane<Level, kRows, kVectors>(args, store, pixel, plane, SpmmMakeIndices<kVectors>{},
                                          SpmmMakeIndices<4 / kRows>{});
  }
}

template <class Level, int kRows, int... kI>
static inline void run_tiles(const QS8SpmmArgs& args, const SpmmStoreNeon& store, SpmmIndices<kI...> /*widths*/) {
  static constexpr SpmmTile<SpmmStoreNeon> kTiles[] = {&compute_planes<Level, kRows, kI + 1>...};
  walk_tiles<kSpmmVectorNeon>(args, store, kTiles);
}

template <class Level>
static inline void run_spmm_neon(const QS8SpmmArgs& args) {
  const SpmmStoreNeon store = spmm_store_neon(args);
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
