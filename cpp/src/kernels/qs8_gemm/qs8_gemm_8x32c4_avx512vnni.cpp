// SPDX-License-Identifier: Apache-2.0
// qs8_gemm_8x32c4_avx512vnni: up to 8 pixels x 32 channels, output channels in lanes. Contract: qs8_gemm.h.
//
//   w, packed   [n/32][k/4][32 channels][4 bytes]   zmm  2       one depth word of the panel
//   x           one word of each pixel, broadcast   zmm  1       u8: the unsigned operand of vpdpbusd
//   acc         8 pixels x 2 vectors                zmm  16      16 channels each, starts at the bias
//
// The last panel may be narrower: one vector, or one and a half, whose products are half as dear.
//
// vpackssdw and vpackuswb work in 128-bit lanes of 4 channels: three of them turn the vectors of 4 pixels into one
// whose lane i is the 4 pixels of plane i, which is C4P without a shuffle. Taller tiles (12 pixels, 24 accumulators)
// are slower: one tile's requantization and the next one's products then no longer fit the reorder window together.
#if !defined(__AVX512VNNI__) || !defined(__AVX512BW__) || !defined(__AVX512VL__)
#error "built without -mavx512vnni: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>
#include <utility>

#include "kernels/qs8_gemm/qs8_gemm.h"
#include "kernels/requantize_avx512.h"

namespace edgeml::kernels {
namespace {

constexpr int kTilePixels = 8;
constexpr int kPanelChannels = 32;
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

// A panel's width in half vectors, 8 channels each.
enum Width : int { kOneVector = 2, kOneAndAHalf = 3, kTwoVectors = 4 };
constexpr int vectors_of(Width width) { return (width + 1) / 2; }
constexpr Width width_of(std::int32_t planes) {
  return planes <= 4 ? kOneVector : planes <= 6 ? kOneAndAHalf : kTwoVectors;
}

// What a tile needs to know of its panel.
struct Panel {
  const std::int8_t* weights;
  const std::int32_t* bias;
  const float* multiplier;
  act_t* out;           // plane 0 of the panel, pixel 0
  std::int32_t planes;  // that exist, 1..8
  Width width;
  bool fast[2];  // per vector of 16 channels: round_512 takes its multipliers
  bool clamps;   // range is narrower than what a byte holds
  OutputRange512 range;
};

Panel panel_of(const QS8GemmArgs& args, std::int32_t index) {
  const std::int32_t planes = (args.channels + 3) / 4 - index * (kPanelChannels / 4);
  const float* multiplier = args.multiplier + std::int64_t{index} * kPanelChannels;
  return {args.weights + std::int64_t{index} * args.k_groups * kStepBytes,
          args.bias + std::int64_t{index} * kPanelChannels,
          multiplier,
          args.out + std::int64_t{index} * (kPanelChannels / 4) * args.out_plane_step,
          planes < kPanelChannels / 4 ? planes : kPanelChannels / 4,
          width_of(planes),
          {all_below_one_512(_mm512_loadu_ps(multiplier)), all_below_one_512(_mm512_loadu_ps(multiplier + 16))},
          clamps(args.range),
          broadcast_range_512(args.range)};
}

EDGEML_INLINE __m512i broadcast_word(const act_t* word) {
  std::int32_t value;
  __builtin_memcpy(&value, word, 4);
  return _mm512_set1_epi32(value);
}

// First pixel of a group of 4; the last group of a tile moves back so that it is whole.
constexpr int group_begin(int group, int rows) { return 4 * group + 4 <= rows || rows < 4 ? 4 * group : rows - 4; }

// Any output layout, any number of rows: a word at a time. packed: [group of 4 pixels][4 planes][4 pixels].
__attribute__((noinline)) void store_words(const QS8GemmArgs& args, const std::uint32_t* packed, int rows,
                                           std::int32_t planes, act_t* out) {
  for (std::int32_t plane = 0; plane < planes; ++plane) {
    for (int row = 0; row < rows; ++row) {
      const std::uint32_t* word = packed + row / 4 * 16 + plane * 4 + (row - group_begin(row / 4, rows));
      __builtin_memcpy(out + plane * args.out_plane_step + row * args.out_pixel_step, word, 4);
    }
  }
}

// Channels of a pixel side by side (fully connected layers), 4 whole planes: 16 bytes a pixel.
__attribute__((noinline)) void store_rows(const QS8GemmArgs& args, const std::uint32_t* packed, int rows, act_t* out) {
  const __m512i by_pixel = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  for (int row = 0; row < rows; row += 4) {
    alignas(64) std::uint32_t words[16];
    _mm512_store_si512(words, _mm512_permutexvar_epi32(by_pixel, _mm512_loadu_si512(packed + row / 4 * 16)));
    for (int i = row; i < rows && i < row + 4; ++i) {
      __builtin_memcpy(out + i * args.out_pixel_step, words + (i - group_begin(row / 4, rows)) * 4, 16);
    }
  }
}

// One vector of sums of all rows with the scalar definition, for multipliers that round_512 does not take.
__attribute__((noinline)) void store_requantized(const QS8GemmArgs& args, const std::int32_t* sums,
                                                 const float* multiplier, int rows, std::int32_t planes, act_t* out) {
  for (std::int32_t channel = 0; channel < 4 * planes && channel < 16; ++channel) {
    for (int row = 0; row < rows; ++row) {
      out[channel / 4 * args.out_plane_step + row * args.out_pixel_step + channel % 4] =
          requantize(sums[row * 16 + channel], multiplier[channel], args.range);
    }
  }
}

// The groups of one plane, each 4 pixels side by side. The lane is the plane's place among the 4 of a vector.
template <int kRows, int kLane, int... kGroup>
EDGEML_INLINE void store_plane(const __m512i (&packed)[sizeof...(kGroup)], act_t* out, Indices<kGroup...>) {
  (_mm_storeu_si128(reinterpret_cast<__m128i*>(out + 4 * group_begin(kGroup, kRows)),
                    _mm512_extracti32x4_epi32(packed[kGroup], kLane)),
   ...);
}

template <int kRows, int... kGroup>
EDGEML_INLINE void store_planes(const __m512i (&packed)[sizeof...(kGroup)], std::int32_t planes, act_t* out,
                                std::int64_t plane_step, Indices<kGroup...> groups) {
  store_plane<kRows, 0>(packed, out, groups);
  if (planes < 2) return;
  store_plane<kRows, 1>(packed, out + plane_step, groups);
  if (planes < 3) return;
  store_plane<kRows, 2>(packed, out + 2 * plane_step, groups);
  if (planes < 4) return;
  store_plane<kRows, 3>(packed, out + 3 * plane_step, groups);
}

// Requantizes and stores one vector of channels of all rows.
template <int kRows, int kVector, int... kRow, int... kGroup>
EDGEML_INLINE void finish_vector(const QS8GemmArgs& args, const __m512i (&acc)[kRows], const Panel& panel, act_t* out,
                                 Indices<kRow...>, Indices<kGroup...> groups) {
  const float* multiplier = panel.multiplier + 16 * kVector;
  const std::int32_t planes = panel.planes - 4 * kVector;  // more than 4 count as 4
  out += 4 * kVector * args.out_plane_step;
  if (!panel.fast[kVector]) [[unlikely]] {
    std::int32_t sums[kRows * 16];
    (_mm512_storeu_si512(sums + kRow * 16, acc[kRow]), ...);
    store_requantized(args, sums, multiplier, kRows, planes, out);
    return;
  }
  const __m512 m = _mm512_loadu_ps(multiplier);
  __m512i rounded[kRows < 4 ? 4 : kRows] = {round_512(acc[kRow], m)...};
  for (int i = kRows; i < 4; ++i) rounded[i] = _mm512_setzero_si512();
  __m512i packed[] = {pack_512(rounded[group_begin(kGroup, kRows)], rounded[group_begin(kGroup, kRows) + 1],
                               rounded[group_begin(kGroup, kRows) + 2], rounded[group_begin(kGroup, kRows) + 3],
                               panel.range)...};
  if (panel.clamps) ((packed[kGroup] = clamp_512(packed[kGroup], panel.range)), ...);
  if (kRows >= 4 && args.out_pixel_step == 4) {
    store_planes<kRows>(packed, planes, out, args.out_plane_step, groups);
  } else {
    std::uint32_t words[sizeof...(kGroup) * 16];
    (_mm512_storeu_si512(words + kGroup * 16, packed[kGroup]), ...);
    if (args.out_plane_step == 4 && planes >= 4) {
      store_rows(args, words, kRows, out);
    } else {
      store_words(args, words, kRows, planes < 4 ? planes : 4, out);
    }
  }
}

template <int kRows, int kVectors, int... kRow>
EDGEML_INLINE void finish_tile(const QS8GemmArgs& args, const __m512i (&acc)[kRows * kVectors], const Panel& panel,
                               act_t* out, Indices<kRow...> rows) {
  constexpr MakeIndices<(kRows + 3) / 4> kGroups;
  const __m512i first[] = {acc[kRow * kVectors]...};
  finish_vector<kRows, 0>(args, first, panel, out, rows, kGroups);
  if (kVectors == 1 || panel.planes <= 4) return;
  const __m512i second[] = {acc[kRow * kVectors + kVectors - 1]...};
  finish_vector<kRows, 1>(args, second, panel, out, rows, kGroups);
}

template <Width kWidth>
EDGEML_INLINE void multiply_row(__m512i& acc0, __m512i& acc1, const act_t* word, __m512i w0, __m512i w1) {
  const __m512i x = broadcast_word(word);
  acc0 = _mm512_dpbusd_epi32(acc0, x, w0);
  if constexpr (kWidth == kTwoVectors) acc1 = _mm512_dpbusd_epi32(acc1, x, w1);
  if constexpr (kWidth == kOneAndAHalf) {
    acc1 = _mm512_zextsi256_si512(
        _mm256_dpbusd_epi32(_mm512_castsi512_si256(acc1), _mm512_castsi512_si256(x), _mm512_castsi512_si256(w1)));
  }
}

template <Width kWidth>
EDGEML_INLINE __m512i load_second(const std::int8_t* w, __m512i w0) {
  if constexpr (kWidth == kOneVector) return w0;
  if constexpr (kWidth == kOneAndAHalf) {
    return _mm512_castsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(w + 64)));
  }
  return _mm512_loadu_si512(w + 64);
}

template <int kRows, Width kWidth, class Pixels, int... kRow, int... kI>
EDGEML_INLINE void compute_tile(const QS8GemmArgs& args, const Pixels& pixels, const Panel& panel, act_t* out,
                                Indices<kRow...> rows, Indices<kI...>) {
  constexpr int kVectors = vectors_of(kWidth);
  const __m512i bias[2] = {_mm512_loadu_si512(panel.bias), _mm512_loadu_si512(panel.bias + 16)};
  __m512i acc[kRows * kVectors] = {bias[kI % kVectors]...};
  const std::int8_t* w = panel.weights;
  const std::int32_t* end = args.group_offset + args.k_groups;
  for (const std::int32_t* offset = args.group_offset; offset != end; ++offset, w += kStepBytes) {
    const __m512i w0 = _mm512_loadu_si512(w);
    const __m512i w1 = load_second<kWidth>(w, w0);
    (multiply_row<kWidth>(acc[kRow * kVectors], acc[kRow * kVectors + kVectors - 1], pixels.word(kRow, *offset), w0,
                          w1),
     ...);
  }
  finish_tile<kRows, kVectors>(args, acc, panel, out, rows);
}

template <int kRows, Width kWidth, class Pixels>
__attribute__((noinline)) void tile(const QS8GemmArgs& args, const Pixels& pixels, const Panel& panel, act_t* out) {
  compute_tile<kRows, kWidth>(args, pixels, panel, out, MakeIndices<kRows>{},
                              MakeIndices<kRows * vectors_of(kWidth)>{});
}

template <class Pixels>
using TileFn = void (*)(const QS8GemmArgs&, const Pixels&, const Panel&, act_t*);

template <class Pixels, int... kRow>
inline TileFn<Pixels> tile_of(Width width, int rows, Indices<kRow...>) {
  static constexpr TileFn<Pixels> kTiles[][sizeof...(kRow)] = {{&tile<kRow + 1, kOneVector, Pixels>...},
                                                               {&tile<kRow + 1, kOneAndAHalf, Pixels>...},
                                                               {&tile<kRow + 1, kTwoVectors, Pixels>...}};
  return kTiles[width - kOneVector][rows - 1];
}

template <class Pixels>
inline void run_tile(const QS8GemmArgs& args, const Pixels& pixels, const Panel& panel, std::int32_t pixel, int rows) {
  tile_of<Pixels>(panel.width, rows, MakeIndices<kTilePixels>{})(args, pixels, panel,
                                                                 panel.out + pixel * args.out_pixel_step);
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

// The next `rows` pixels of one panel; pixel is the first one's number.
void compute(const QS8GemmArgs& args, const Panel& panel, Cursor cursor, std::int32_t pixel, int rows) {
  if (args.in_col_step == 4 && cursor.x + rows <= cursor.out_w) {
    run_tile(args, AdjacentPixels{cursor.input(args)}, panel, pixel, rows);
    return;
  }
  ScatteredPixels pixels;
  for (int i = 0; i < rows; ++i) {
    pixels.pixel[i] = cursor.input(args);
    cursor.advance(1);
  }
  run_tile(args, pixels, panel, pixel, rows);
}

// One pixel: several panels at a time, so that enough sums are under way to hide the latency of the dot product.
template <int... kPanel>
EDGEML_INLINE void gemv(const QS8GemmArgs& args, const act_t* x, std::int32_t first_panel, Indices<kPanel...>) {
  const std::int64_t panel_bytes = std::int64_t{args.k_groups} * kStepBytes;
  const Panel panels[] = {panel_of(args, first_panel + kPanel)...};
  __m512i acc[][2] = {{_mm512_loadu_si512(panels[kPanel].bias), _mm512_loadu_si512(panels[kPanel].bias + 16)}...};
  const std::int8_t* w = panels[0].weights;
  for (std::int32_t g = 0; g < args.k_groups; ++g, w += kStepBytes) {
    const __m512i word = broadcast_word(x + args.group_offset[g]);
    ((acc[kPanel][0] = _mm512_dpbusd_epi32(acc[kPanel][0], word, _mm512_loadu_si512(w + kPanel * panel_bytes)),
      acc[kPanel][1] = _mm512_dpbusd_epi32(acc[kPanel][1], word, _mm512_loadu_si512(w + kPanel * panel_bytes + 64))),
     ...);
  }
  const std::int64_t pixel = args.pixel_begin * args.out_pixel_step;
  (finish_tile<1, 2>(args, acc[kPanel], panels[kPanel], panels[kPanel].out + pixel, Indices<0>{}), ...);
}

void run_one_pixel(const QS8GemmArgs& args) {
  const act_t* x = Cursor(args, args.pixel_begin).input(args);
  std::int32_t panel = args.panel_begin;
  for (; panel + kGemvPanels <= args.panel_end; panel += kGemvPanels) gemv(args, x, panel, MakeIndices<kGemvPanels>{});
  for (; panel < args.panel_end; ++panel) gemv(args, x, panel, Indices<0>{});
}

}  // namespace

void qs8_gemm_8x32c4_avx512vnni(const QS8GemmArgs& args) noexcept {
  const std::int32_t pixels = args.pixel_end - args.pixel_begin;
  if (pixels == 1) {
    run_one_pixel(args);
    return;
  }
  // Tiles of equal height, give or take one pixel: 50 pixels are 8 + 7 + 7 + 7 + 7 + 7 + 7.
  const std::int32_t tiles = (pixels + kTilePixels - 1) / kTilePixels;
  const int height = pixels / tiles;
  const std::int32_t taller = pixels % tiles;
  for (std::int32_t index = args.panel_begin; index < args.panel_end; ++index) {
    const Panel panel = panel_of(args, index);
    Cursor cursor(args, args.pixel_begin);
    std::int32_t pixel = args.pixel_begin;
    for (std::int32_t t = 0; t < tiles; ++t) {
      const int rows = height + (t < taller ? 1 : 0);
      compute(args, panel, cursor, pixel, rows);
      cursor.advance(rows);
      pixel += rows;
    }
  }
}

}  // namespace edgeml::kernels
