// SPDX-License-Identifier: Apache-2.0
// qs8_gemm_6x16c4_avxvnni: up to 6 pixels x 16 channels, output channels in lanes. Contract: qs8_gemm.h.
//
//   w, packed   [n/16][k/4][16 channels][4 bytes]   ymm  2       one depth word of the panel
//   x           one word of each pixel, broadcast   ymm  1       u8: the unsigned operand of vpdpbusd
//   acc         6 pixels x 2 vectors                ymm  12      8 channels each, starts at the bias
//
// vpackssdw and vpackuswb work in 128-bit lanes of 4 channels: three of them turn the vectors of 4 pixels into one
// whose lane i is the 4 pixels of plane i, which is C4P without a shuffle.
#include <immintrin.h>

#include <cstdint>
#include <utility>

#include "kernels/dot_avxvnni.h"
#include "kernels/qs8_gemm/qs8_gemm.h"
#include "kernels/requantize_avx2.h"

namespace edgeml::kernels {
namespace {

constexpr int kTilePixels = 6;
constexpr int kPanelChannels = 16;
constexpr int kPanelPlanes = kPanelChannels / 4;
constexpr int kStepBytes = kPanelChannels * 4;  // of one depth word of a panel
constexpr int kGemvPanels = 4;

// Accumulators stay in registers only if every function that touches them is inlined.
#define EDGEML_INLINE inline __attribute__((always_inline))

template <int... kI>
using Indices = std::integer_sequence<int, kI...>;
template <int kN>
using MakeIndices = std::make_integer_sequence<int, kN>;

// Words of pixels side by side in every plane: word i stands at base + offset + 4*i.
struct AdjacentPixels {
  const act_t* base;
  EDGEML_INLINE const act_t* word(int i, std::int64_t offset) const { return base + offset + 4 * i; }
};

// Pixels anywhere: strided, or over the end of a row.
struct ScatteredPixels {
  const act_t* pixel[kTilePixels];
  EDGEML_INLINE const act_t* word(int i, std::int64_t offset) const { return pixel[i] + offset; }
};

// What a tile needs to know of its panel.
struct Panel {
  const std::int8_t* weights;
  const std::int32_t* bias;
  const float* multiplier;
  act_t* out;           // plane 0 of the panel, pixel 0
  std::int32_t planes;  // that exist, 1..4
};

EDGEML_INLINE Panel panel_of(const QS8GemmArgs& args, std::int32_t index) {
  const std::int32_t planes = (args.channels + 3) / 4 - index * kPanelPlanes;
  return {args.weights + std::int64_t{index} * args.k_groups * kStepBytes,
          args.bias + std::int64_t{index} * kPanelChannels, args.multiplier + std::int64_t{index} * kPanelChannels,
          args.out + std::int64_t{index} * kPanelPlanes * args.out_plane_step,
          planes < kPanelPlanes ? planes : kPanelPlanes};
}

EDGEML_INLINE __m256i load(const void* from) { return _mm256_loadu_si256(static_cast<const __m256i*>(from)); }

EDGEML_INLINE __m256i broadcast_word(const act_t* word) {
  std::int32_t value;
  __builtin_memcpy(&value, word, 4);
  return _mm256_set1_epi32(value);
}

// First pixel of a group of 4; the last group of a tile moves back so that it is whole.
constexpr int group_begin(int group, int rows) { return 4 * group + 4 <= rows || rows < 4 ? 4 * group : rows - 4; }

// Any output layout, any number of rows: a word at a time. packed: [group of 4 pixels][2 planes][4 pixels].
__attribute__((noinline)) void store_words(const QS8GemmArgs& args, const std::uint32_t* packed, int rows,
                                           std::int32_t planes, act_t* out) {
  for (std::int32_t plane = 0; plane < planes && plane < 2; ++plane) {
    for (int row = 0; row < rows; ++row) {
      const std::uint32_t* word = packed + row / 4 * 8 + plane * 4 + (row - group_begin(row / 4, rows));
      __builtin_memcpy(out + plane * args.out_plane_step + row * args.out_pixel_step, word, 4);
    }
  }
}

// One vector of sums of all rows with the scalar definition, for multipliers that round_256 does not take.
__attribute__((noinline)) void store_requantized(const QS8GemmArgs& args, const std::int32_t* sums,
                                                 const float* multiplier, int rows, std::int32_t planes, act_t* out) {
  for (std::int32_t channel = 0; channel < 4 * planes && channel < 8; ++channel) {
    for (int row = 0; row < rows; ++row) {
      out[channel / 4 * args.out_plane_step + row * args.out_pixel_step + channel % 4] =
          requantize(sums[row * 8 + channel], multiplier[channel], args.range);
    }
  }
}

// Requantizes and stores one vector of channels of all rows.
template <int kRows, int kVector, int... kRow, int... kGroup>
EDGEML_INLINE void finish_vector(const QS8GemmArgs& args, const __m256i (&acc)[kRows], const Panel& panel,
                                 const OutputRange256& range, act_t* out, Indices<kRow...>, Indices<kGroup...>) {
  const float* multiplier = panel.multiplier + 8 * kVector;
  const std::int32_t planes = panel.planes - 2 * kVector;  // more than 2 count as 2
  out += 2 * kVector * args.out_plane_step;
  const __m256 m = _mm256_loadu_ps(multiplier);
  if (!all_below_one_256(m)) [[unlikely]] {
    std::int32_t sums[kRows * 8];
    (_mm256_storeu_si256(reinterpret_cast<__m256i*>(sums + kRow * 8), acc[kRow]), ...);
    store_requantized(args, sums, multiplier, kRows, planes, out);
    return;
  }
  __m256i rounded[kRows < 4 ? 4 : kRows] = {round_256(acc[kRow], m)...};
  for (int i = kRows; i < 4; ++i) rounded[i] = _mm256_setzero_si256();
  const __m256i packed[] = {pack_256(rounded[group_begin(kGroup, kRows)], rounded[group_begin(kGroup, kRows) + 1],
                                     rounded[group_begin(kGroup, kRows) + 2], rounded[group_begin(kGroup, kRows) + 3],
                                     range)...};
  if (kRows >= 4 && args.out_pixel_step == 4) {
    (_mm_storeu_si128(reinterpret_cast<__m128i*>(out + 4 * group_begin(kGroup, kRows)),
                      _mm256_castsi256_si128(packed[kGroup])),
     ...);
    if (planes < 2) return;
    out += args.out_plane_step;
    (_mm_storeu_si128(reinterpret_cast<__m128i*>(out + 4 * group_begin(kGroup, kRows)),
                      _mm256_extracti128_si256(packed[kGroup], 1)),
     ...);
  } else {
    std::uint32_t words[sizeof...(kGroup) * 8];
    (_mm256_storeu_si256(reinterpret_cast<__m256i*>(words + kGroup * 8), packed[kGroup]), ...);
    store_words(args, words, kRows, planes, out);
  }
}

template <int kRows, int kVectors, int... kRow>
EDGEML_INLINE void finish_tile(const QS8GemmArgs& args, const __m256i (&acc)[kRows * kVectors], const Panel& panel,
                               const OutputRange256& range, act_t* out, Indices<kRow...> rows) {
  constexpr MakeIndices<(kRows + 3) / 4> kGroups;
  const __m256i first[] = {acc[kRow * kVectors]...};
  finish_vector<kRows, 0>(args, first, panel, range, out, rows, kGroups);
  if (kVectors == 1 || panel.planes <= 2) return;
  const __m256i second[] = {acc[kRow * kVectors + kVectors - 1]...};
  finish_vector<kRows, 1>(args, second, panel, range, out, rows, kGroups);
}

template <int kVectors>
EDGEML_INLINE void multiply_row(__m256i& acc0, __m256i& acc1, const act_t* word, __m256i w0, __m256i w1) {
  const __m256i x = broadcast_word(word);
  acc0 = dot_256(acc0, x, w0);
  if constexpr (kVectors == 2) acc1 = dot_256(acc1, x, w1);
}

template <int kRows, int kVectors, class Pixels, int... kRow, int... kI>
EDGEML_INLINE void compute_tile(const QS8GemmArgs& args, const Pixels& pixels, const Panel& panel,
                                const OutputRange256& range, act_t* out, Indices<kRow...> rows, Indices<kI...>) {
  const __m256i bias[2] = {load(panel.bias), load(panel.bias + 8)};
  __m256i acc[kRows * kVectors] = {bias[kI % kVectors]...};
  const std::int8_t* w = panel.weights;
  const std::int32_t* end = args.group_offset + args.k_groups;
  for (const std::int32_t* offset = args.group_offset; offset != end; ++offset, w += kStepBytes) {
    const __m256i w0 = load(w);
    const __m256i w1 = kVectors == 2 ? load(w + 32) : w0;
    (multiply_row<kVectors>(acc[kRow * kVectors], acc[kRow * kVectors + kVectors - 1], pixels.word(kRow, *offset), w0,
                            w1),
     ...);
  }
  finish_tile<kRows, kVectors>(args, acc, panel, range, out, rows);
}

template <int kRows, int kVectors, class Pixels>
__attribute__((noinline)) void tile(const QS8GemmArgs& args, const Pixels& pixels, const Panel& panel,
                                    const OutputRange256& range, act_t* out) {
  compute_tile<kRows, kVectors>(args, pixels, panel, range, out, MakeIndices<kRows>{}, MakeIndices<kRows * kVectors>{});
}

template <class Pixels>
using TileFn = void (*)(const QS8GemmArgs&, const Pixels&, const Panel&, const OutputRange256&, act_t*);

template <class Pixels, int kVectors, int... kI>
EDGEML_INLINE TileFn<Pixels> tile_of(int rows, Indices<kI...>) {
  static constexpr TileFn<Pixels> kTiles[] = {&tile<kI + 1, kVectors, Pixels>...};
  return kTiles[rows - 1];
}

// Walks over the output pixels of a call, and over where their input words are.
struct Cursor {
  std::int32_t out_w;
  std::int32_t y, x;

  // Rows that follow each other without a gap are one row.
  Cursor(const QS8GemmArgs& args, std::int32_t pixel)
      : out_w(args.in_row_step == std::int64_t{args.out_w} * args.in_col_step ? args.pixel_end : args.out_w),
        y(pixel / out_w),
        x(pixel % out_w) {}
  const act_t* input(const QS8GemmArgs& args) const {
    return args.in + std::int64_t{y} * args.in_row_step + std::int64_t{x} * args.in_col_step;
  }
  void advance(std::int32_t pixels) {
    x += pixels;
    while (x >= out_w) {
      x -= out_w;
      ++y;
    }
  }
};

template <class Pixels>
void run_tile(const QS8GemmArgs& args, const Pixels& pixels, const Panel& panel, const OutputRange256& range,
              std::int32_t pixel, int rows) {
  const auto fn = panel.planes > 2 ? tile_of<Pixels, 2>(rows, MakeIndices<kTilePixels>{})
                                   : tile_of<Pixels, 1>(rows, MakeIndices<kTilePixels>{});
  fn(args, pixels, panel, range, panel.out + pixel * args.out_pixel_step);
}

// The next `rows` pixels of one panel; pixel is the first one's number.
void compute(const QS8GemmArgs& args, const Panel& panel, const OutputRange256& range, Cursor cursor,
             std::int32_t pixel, int rows) {
  if (args.in_col_step == 4 && cursor.x + rows <= cursor.out_w) {
    run_tile(args, AdjacentPixels{cursor.input(args)}, panel, range, pixel, rows);
    return;
  }
  ScatteredPixels pixels;
  for (int i = 0; i < rows; ++i) {
    pixels.pixel[i] = cursor.input(args);
    cursor.advance(1);
  }
  run_tile(args, pixels, panel, range, pixel, rows);
}

// One pixel: several panels at a time, so that enough sums are under way to hide the latency of the dot product.
template <int... kPanel>
EDGEML_INLINE void gemv(const QS8GemmArgs& args, const act_t* x, std::int32_t first_panel, Indices<kPanel...>) {
  const std::int64_t panel_bytes = std::int64_t{args.k_groups} * kStepBytes;
  const Panel panels[] = {panel_of(args, first_panel + kPanel)...};
  __m256i acc[][2] = {{load(panels[kPanel].bias), load(panels[kPanel].bias + 8)}...};
  const std::int8_t* w = panels[0].weights;
  for (std::int32_t g = 0; g < args.k_groups; ++g, w += kStepBytes) {
    const __m256i word = broadcast_word(x + args.group_offset[g]);
    ((acc[kPanel][0] = dot_256(acc[kPanel][0], word, load(w + kPanel * panel_bytes)),
      acc[kPanel][1] = dot_256(acc[kPanel][1], word, load(w + kPanel * panel_bytes + 32))),
     ...);
  }
  const OutputRange256 range = broadcast_range_256(args.range);
  const std::int64_t pixel = args.pixel_begin * args.out_pixel_step;
  (finish_tile<1, 2>(args, acc[kPanel], panels[kPanel], range, panels[kPanel].out + pixel, Indices<0>{}), ...);
}

void run_one_pixel(const QS8GemmArgs& args) {
  const act_t* x = Cursor(args, args.pixel_begin).input(args);
  std::int32_t panel = args.panel_begin;
  for (; panel + kGemvPanels <= args.panel_end; panel += kGemvPanels) gemv(args, x, panel, MakeIndices<kGemvPanels>{});
  for (; panel < args.panel_end; ++panel) gemv(args, x, panel, Indices<0>{});
}

}  // namespace

void qs8_gemm_6x16c4_avxvnni(const QS8GemmArgs& args) noexcept {
  const std::int32_t pixels = args.pixel_end - args.pixel_begin;
  if (pixels == 1) {
    run_one_pixel(args);
    return;
  }
  const OutputRange256 range = broadcast_range_256(args.range);
  // Tiles of equal height, give or take one pixel.
  const std::int32_t tiles = (pixels + kTilePixels - 1) / kTilePixels;
  const int height = pixels / tiles;
  const std::int32_t taller = pixels % tiles;
  for (std::int32_t index = args.panel_begin; index < args.panel_end; ++index) {
    const Panel panel = panel_of(args, index);
    Cursor cursor(args, args.pixel_begin);
    std::int32_t pixel = args.pixel_begin;
    for (std::int32_t t = 0; t < tiles; ++t) {
      const int rows = height + (t < taller ? 1 : 0);
      compute(args, panel, range, cursor, pixel, rows);
      cursor.advance(rows);
      pixel += rows;
    }
  }
}

}  // namespace edgeml::kernels
