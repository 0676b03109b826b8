// SPDX-License-Identifier: Apache-2.0
// qs8_gemm_6x16c2_avx2: up to 6 pixels x 16 channels, output channels in lanes. Contract: qs8_gemm.h.
//
//   x, workspace  [k/2][pixels of the tile][2] u16   widened once per tile, used for every panel
//   w, packed     [n/16][k/2][16 channels][2 bytes]  ymm  2       widened to s16 in the loop
//   acc           6 pixels x 2 vectors               ymm  12      8 channels each, starts at the bias
//
// Multiplies in int16 and adds pairs in int32 (vpmaddwd), which is exact; vpmaddubsw saturates and is not.
#if !defined(__AVX2__)
#error "built without -mavx2: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>
#include <utility>

#include "kernels/qs8_gemm/qs8_gemm.h"
#include "kernels/requantize_avx2.h"

namespace edgeml::kernels {
namespace {

constexpr int kTilePixels = 6;
constexpr int kPanelChannels = 16;
constexpr int kPanelPlanes = kPanelChannels / 4;
constexpr int kStepBytes = kPanelChannels * 2;  // of one pair of depth of a panel

// Accumulators stay in registers only if every function that touches them is inlined.
#define EDGEML_INLINE inline __attribute__((always_inline))

template <int... kI>
using Indices = std::integer_sequence<int, kI...>;
template <int kN>
using MakeIndices = std::make_integer_sequence<int, kN>;

// The pixels of a tile: where their words are, less the offset of the depth word, and where their results go.
struct Tile {
  OutputRange256 range;
  const act_t* in[kTilePixels];
  bool adjacent;  // in memory, word after word
  int rows;
  std::int64_t out;  // bytes from a plane's first pixel
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
  return {args.weights + std::int64_t{index} * args.k_groups * 2 * kStepBytes,
          args.bias + std::int64_t{index} * kPanelChannels, args.multiplier + std::int64_t{index} * kPanelChannels,
          args.out + std::int64_t{index} * kPanelPlanes * args.out_plane_step,
          planes < kPanelPlanes ? planes : kPanelPlanes};
}

EDGEML_INLINE std::int32_t load_word(const act_t* word) {
  std::int32_t value;
  __builtin_memcpy(&value, word, 4);
  return value;
}

// Words of 4 pixels -> their first channel pair and, a step later, their second.
EDGEML_INLINE void widen_quad(__m128i words, std::uint32_t* step, int rows) {
  const __m256i pairs =
      _mm256_permutevar8x32_epi32(_mm256_cvtepu8_epi16(words), _mm256_setr_epi32(0, 2, 4, 6, 1, 3, 5, 7));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(step), _mm256_castsi256_si128(pairs));
  _mm_storeu_si128(reinterpret_cast<__m128i*>(step + rows), _mm256_extracti128_si256(pairs, 1));
}

EDGEML_INLINE void widen_one(std::int32_t word, std::uint32_t* step, int rows) {
  const __m128i pairs = _mm_cvtepu8_epi16(_mm_cvtsi32_si128(word));
  step[0] = static_cast<std::uint32_t>(_mm_cvtsi128_si32(pairs));
  step[rows] = static_cast<std::uint32_t>(_mm_extract_epi32(pairs, 1));
}

EDGEML_INLINE __m128i load_quad(const Tile& tile, int first, std::int64_t offset) {
  const act_t* const* in = tile.in + first;
  if (tile.adjacent) return _mm_loadu_si128(reinterpret_cast<const __m128i*>(in[0] + offset));
  return _mm_setr_epi32(load_word(in[0] + offset), load_word(in[1] + offset), load_word(in[2] + offset),
                        load_word(in[3] + offset));
}

// Fills the workspace with the tile's activations. A second quad overlaps the first one so that it is whole.
void widen(const QS8GemmArgs& args, const Tile& tile) {
  auto* step = static_cast<std::uint32_t*>(args.workspace);
  for (std::int32_t g = 0; g < args.k_groups; ++g, step += 2 * tile.rows) {
    const std::int64_t offset = args.group_offset[g];
    if (tile.rows >= 4) {
      widen_quad(load_quad(tile, 0, offset), step, tile.rows);
      const int second = tile.rows - 4;
      if (second > 0) widen_quad(load_quad(tile, second, offset), step + second, tile.rows);
    } else {
      for (int i = 0; i < tile.rows; ++i) widen_one(load_word(tile.in[i] + offset), step + i, tile.rows);
    }
  }
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

template <int kVectors>
EDGEML_INLINE void multiply_row(__m256i& acc0, __m256i& acc1, std::uint32_t pair, __m256i w0, __m256i w1) {
  const __m256i x = _mm256_set1_epi32(static_cast<std::int32_t>(pair));
  acc0 = _mm256_add_epi32(acc0, _mm256_madd_epi16(x, w0));
  if constexpr (kVectors == 2) acc1 = _mm256_add_epi32(acc1, _mm256_madd_epi16(x, w1));
}

EDGEML_INLINE __m256i load_weights(const std::int8_t* w) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(w)));
}

template <int kRows, int kVectors, int... kRow, int... kI>
EDGEML_INLINE void compute(const QS8GemmArgs& args, const Panel& panel, const OutputRange256& range, act_t* out,
                           Indices<kRow...> rows, Indices<kI...>) {
  const __m256i bias[2] = {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel.bias)),
                           _mm256_loadu_si256(reinterpret_cast<const __m256i*>(panel.bias + 8))};
  __m256i acc[kRows * kVectors] = {bias[kI % kVectors]...};
  const std::int8_t* w = panel.weights;
  const auto* step = static_cast<const std::uint32_t*>(args.workspace);
  const std::uint32_t* end = step + std::int64_t{args.k_groups} * 2 * kRows;
  for (; step != end; step += kRows, w += kStepBytes) {
    const __m256i w0 = load_weights(w);
    const __m256i w1 = kVectors == 2 ? load_weights(w + 16) : w0;
    (multiply_row<kVectors>(acc[kRow * kVectors], acc[kRow * kVectors + kVectors - 1], step[kRow], w0, w1), ...);
  }
  constexpr MakeIndices<(kRows + 3) / 4> kGroups;
  const __m256i first[] = {acc[kRow * kVectors]...};
  finish_vector<kRows, 0>(args, first, panel, range, out, rows, kGroups);
  if (kVectors == 1) return;
  const __m256i second[] = {acc[kRow * kVectors + kVectors - 1]...};
  finish_vector<kRows, 1>(args, second, panel, range, out, rows, kGroups);
}

template <int kRows, int kVectors>
__attribute__((noinline)) void compute_tile(const QS8GemmArgs& args, const Panel& panel, const OutputRange256& range,
                                            act_t* out) {
  compute<kRows, kVectors>(args, panel, range, out, MakeIndices<kRows>{}, MakeIndices<kRows * kVectors>{});
}

using ComputeFn = void (*)(const QS8GemmArgs&, const Panel&, const OutputRange256&, act_t*);

template <int kVectors, int... kI>
EDGEML_INLINE ComputeFn compute_fn(int rows, Indices<kI...>) {
  static constexpr ComputeFn kFns[] = {&compute_tile<kI + 1, kVectors>...};
  return kFns[rows - 1];
}

void run_tile(const QS8GemmArgs& args, const Tile& tile) {
  widen(args, tile);
  for (std::int32_t index = args.panel_begin; index < args.panel_end; ++index) {
    const Panel panel = panel_of(args, index);
    const auto fn = panel.planes > 2 ? compute_fn<2>(tile.rows, MakeIndices<kTilePixels>{})
                                     : compute_fn<1>(tile.rows, MakeIndices<kTilePixels>{});
    fn(args, panel, tile.range, panel.out + tile.out);
  }
}

}  // namespace

void qs8_gemm_6x16c2_avx2(const QS8GemmArgs& args) noexcept {
  const std::int32_t pixels = args.pixel_end - args.pixel_begin;
  // Tiles of equal height, give or take one pixel.
  const std::int32_t tiles = (pixels + kTilePixels - 1) / kTilePixels;
  std::int32_t y = args.pixel_begin / args.out_w;
  std::int32_t x = args.pixel_begin % args.out_w;
  std::int32_t pixel = args.pixel_begin;
  Tile tile;
  tile.range = broadcast_range_256(args.range);
  for (std::int32_t t = 0; t < tiles; ++t) {
    tile.rows = pixels / tiles + (t < pixels % tiles ? 1 : 0);
    tile.out = pixel * args.out_pixel_step;
    tile.adjacent = true;
    for (int i = 0; i < tile.rows; ++i) {
      tile.in[i] = args.in + std::int64_t{y} * args.in_row_step + std::int64_t{x} * args.in_col_step;
      tile.adjacent = tile.adjacent && tile.in[i] == tile.in[0] + 4 * i;
      if (++x == args.out_w) {
        x = 0;
        ++y;
      }
    }
    run_tile(args, tile);
    pixel += tile.rows;
  }
}

}  // namespace edgeml::kernels
