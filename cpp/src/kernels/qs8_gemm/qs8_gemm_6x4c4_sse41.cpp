// SPDX-License-Identifier: Apache-2.0
// qs8_gemm_6x4c4_sse41: up to 6 pixels x 4 channels. Contract: qs8_gemm.h.
//
//   x, workspace  [k/4][pixels of the tile][4] u16   widened once per tile; movddup loads a word into both halves
//   w, packed     [n/4][k/4][4 channels][4 bytes]    xmm  2     2 channels each, widened to s16 in the loop
//   acc           6 pixels x 2 vectors               xmm  12    lanes: channel 0 depth 0-1, 2-3, channel 1 depth 0-1,
//   2-3
//
// Multiplies in int16 and adds pairs in int32 (pmaddwd), which is exact; pmaddubsw saturates and is not. Adding the
// neighbouring lanes of the two vectors of a pixel gives its word, so a panel is a plane of the output.
#if !defined(__SSE4_1__)
#error "built without -msse4.1: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>
#include <utility>

#include "kernels/qs8_gemm/qs8_gemm.h"
#include "kernels/requantize_sse41.h"

namespace edgeml::kernels {
namespace {

constexpr int kTilePixels = 6;
constexpr int kPanelChannels = 4;
constexpr int kStepBytes = kPanelChannels * 4;  // of one depth word of a panel
constexpr int kGemvPanels = 4;

// Accumulators stay in registers only if every function that touches them is inlined.
#define EDGEML_INLINE inline __attribute__((always_inline))

template <int... kI>
using Indices = std::integer_sequence<int, kI...>;
template <int kN>
using MakeIndices = std::make_integer_sequence<int, kN>;

// The pixels of a tile: where their words are, less the offset of the depth word.
struct Tile {
  const act_t* in[kTilePixels];
  bool adjacent;  // in memory, word after word
  int rows;
};

EDGEML_INLINE __m128i load(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }

EDGEML_INLINE __m128i widen_word(const act_t* word) {
  std::int32_t value;
  __builtin_memcpy(&value, word, 4);
  return _mm_cvtepu8_epi16(_mm_cvtsi32_si128(value));
}

// Fills the workspace with the tile's activations.
void widen(const QS8GemmArgs& args, const Tile& tile) {
  auto* step = static_cast<std::uint8_t*>(args.workspace);
  for (std::int32_t g = 0; g < args.k_groups; ++g) {
    const std::int64_t offset = args.group_offset[g];
    int i = 0;
    if (tile.adjacent) {
      for (; i + 4 <= tile.rows; i += 4, step += 32) {
        const __m128i words = load(tile.in[i] + offset);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(step), _mm_cvtepu8_epi16(words));
        _mm_storeu_si128(reinterpret_cast<__m128i*>(step + 16), _mm_unpackhi_epi8(words, _mm_setzero_si128()));
      }
    }
    for (; i < tile.rows; ++i, step += 8) {
      _mm_storel_epi64(reinterpret_cast<__m128i*>(step), widen_word(tile.in[i] + offset));
    }
  }
}

// A widened word, twice.
EDGEML_INLINE __m128i load_twice(const std::uint8_t* word) {
  double both;
  __builtin_memcpy(&both, word, 8);
  return _mm_castpd_si128(_mm_set1_pd(both));
}

// Two channels of a depth word, widened.
EDGEML_INLINE __m128i load_weights(const std::int8_t* w) {
  return _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(w)));
}

// The 4 channels of one pixel from its two vectors.
EDGEML_INLINE __m128i sum_pairs(__m128i acc0, __m128i acc1, __m128i bias) {
  return _mm_add_epi32(_mm_hadd_epi32(acc0, acc1), bias);
}

EDGEML_INLINE void multiply_word(__m128i& acc0, __m128i& acc1, const std::uint8_t* word, __m128i w0, __m128i w1) {
  const __m128i x = load_twice(word);
  acc0 = _mm_add_epi32(acc0, _mm_madd_epi16(x, w0));
  __asm__("" : "+x"(acc0));  // in this order: GCC would otherwise load all words first and spill the sums
  acc1 = _mm_add_epi32(acc1, _mm_madd_epi16(x, w1));
  __asm__("" : "+x"(acc1));
}

EDGEML_INLINE void store_word(std::int32_t word, act_t* out) { __builtin_memcpy(out, &word, 4); }

// Requantizes the sums of 1 to 4 pixels, [pixel] of 4 channels, and stores their words.
template <int kRows>
EDGEML_INLINE void finish(const __m128i (&sums)[kRows], __m128 multiplier, const OutputRange128& range,
                          std::int64_t pixel_step, act_t* out) {
  __m128i rounded[4];
  for (int i = 0; i < 4; ++i) rounded[i] = round_128(sums[i < kRows ? i : kRows - 1], multiplier, range);
  const __m128i words = pack_128(rounded[0], rounded[1], rounded[2], rounded[3], range);
  if (kRows == 4 && pixel_step == 4) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), words);
    return;
  }
  store_word(_mm_cvtsi128_si32(words), out);
  if constexpr (kRows > 1) store_word(_mm_extract_epi32(words, 1), out + pixel_step);
  if constexpr (kRows > 2) store_word(_mm_extract_epi32(words, 2), out + 2 * pixel_step);
  if constexpr (kRows > 3) store_word(_mm_extract_epi32(words, 3), out + 3 * pixel_step);
}

template <int kRows, int... kRow>
EDGEML_INLINE void compute(const QS8GemmArgs& args, std::int32_t panel, const OutputRange128& range, act_t* out,
                           Indices<kRow...>) {
  __m128i acc0[kRows] = {((void)kRow, _mm_setzero_si128())...};
  __m128i acc1[kRows] = {((void)kRow, _mm_setzero_si128())...};
  const std::int8_t* w = args.weights + std::int64_t{panel} * args.k_groups * kStepBytes;
  const auto* step = static_cast<const std::uint8_t*>(args.workspace);
  const std::uint8_t* end = step + std::int64_t{args.k_groups} * 8 * kRows;
  for (; step != end; step += 8 * kRows, w += kStepBytes) {
    const __m128i w0 = load_weights(w);
    const __m128i w1 = load_weights(w + 8);
    (multiply_word(acc0[kRow], acc1[kRow], step + 8 * kRow, w0, w1), ...);
  }
  const __m128i bias = load(args.bias + std::int64_t{panel} * kPanelChannels);
  const __m128 multiplier = _mm_loadu_ps(args.multiplier + std::int64_t{panel} * kPanelChannels);
  out += panel * args.out_plane_step;
  const __m128i sums[] = {sum_pairs(acc0[kRow], acc1[kRow], bias)...};
  if constexpr (kRows <= 4) {
    finish(sums, multiplier, range, args.out_pixel_step, out);
  } else {
    const __m128i first[] = {sums[0], sums[1], sums[2], sums[3]};
    finish(first, multiplier, range, args.out_pixel_step, out);
    const __m128i last[] = {sums[kRows - 2], sums[kRows - 1]};
    finish(last, multiplier, range, args.out_pixel_step, out + (kRows - 2) * args.out_pixel_step);
  }
}

template <int kRows>
__attribute__((noinline)) void compute_tile(const QS8GemmArgs& args, const OutputRange128& range, act_t* out) {
  for (std::int32_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
    compute<kRows>(args, panel, range, out, MakeIndices<kRows>{});
  }
}

using ComputeFn = void (*)(const QS8GemmArgs&, const OutputRange128&, act_t*);

template <int... kI>
ComputeFn compute_fn(int rows, Indices<kI...>) {
  static constexpr ComputeFn kFns[] = {&compute_tile<kI + 1>...};
  return kFns[rows - 1];
}

// One pixel: several panels at a time, so that enough sums are under way to hide the latency of the products.
template <int... kPanel>
EDGEML_INLINE void gemv(const QS8GemmArgs& args, std::int32_t first_panel, const OutputRange128& range, act_t* out,
                        Indices<kPanel...>) {
  const std::int64_t panel_bytes = std::int64_t{args.k_groups} * kStepBytes;
  const std::int8_t* w = args.weights + first_panel * panel_bytes;
  const auto* step = static_cast<const std::uint8_t*>(args.workspace);
  __m128i acc0[] = {((void)kPanel, _mm_setzero_si128())...};
  __m128i acc1[] = {((void)kPanel, _mm_setzero_si128())...};
  for (std::int32_t g = 0; g < args.k_groups; ++g, step += 8, w += kStepBytes) {
    (multiply_word(acc0[kPanel], acc1[kPanel], step, load_weights(w + kPanel * panel_bytes),
                   load_weights(w + kPanel * panel_bytes + 8)),
     ...);
  }
  const std::int32_t* bias = args.bias + std::int64_t{first_panel} * kPanelChannels;
  const float* multiplier = args.multiplier + std::int64_t{first_panel} * kPanelChannels;
  const auto finish_panel = [&](int i) __attribute__((always_inline)) {
    const __m128i sums[] = {sum_pairs(acc0[i], acc1[i], load(bias + i * kPanelChannels))};
    finish(sums, _mm_loadu_ps(multiplier + i * kPanelChannels), range, 0,
           out + (first_panel + i) * args.out_plane_step);
  };
  (finish_panel(kPanel), ...);
}

void run_one_pixel(const QS8GemmArgs& args, const OutputRange128& range, act_t* out) {
  std::int32_t panel = args.panel_begin;
  for (; panel + kGemvPanels <= args.panel_end; panel += kGemvPanels) {
    gemv(args, panel, range, out, MakeIndices<kGemvPanels>{});
  }
  for (; panel < args.panel_end; ++panel) gemv(args, panel, range, out, Indices<0>{});
}

}  // namespace

void qs8_gemm_6x4c4_sse41(const QS8GemmArgs& args) noexcept {
  const OutputRange128 range = broadcast_range_128(args.range);
  const std::int32_t pixels = args.pixel_end - args.pixel_begin;
  // Tiles of equal height, give or take one pixel.
  const std::int32_t tiles = (pixels + kTilePixels - 1) / kTilePixels;
  std::int32_t y = args.pixel_begin / args.out_w;
  std::int32_t x = args.pixel_begin % args.out_w;
  act_t* out = args.out + args.pixel_begin * args.out_pixel_step;
  Tile tile;
  for (std::int32_t t = 0; t < tiles; ++t) {
    tile.rows = pixels / tiles + (t < pixels % tiles ? 1 : 0);
    tile.adjacent = true;
    for (int i = 0; i < tile.rows; ++i) {
      tile.in[i] = args.in + std::int64_t{y} * args.in_row_step + std::int64_t{x} * args.in_col_step;
      tile.adjacent = tile.adjacent && tile.in[i] == tile.in[0] + 4 * i;
      if (++x == args.out_w) {
        x = 0;
        ++y;
      }
    }
    widen(args, tile);
    if (tile.rows < 2) {
      run_one_pixel(args, range, out);
    } else {
      compute_fn(tile.rows, MakeIndices<kTilePixels>{})(args, range, out);
    }
    out += tile.rows * args.out_pixel_step;
  }
}

}  // namespace edgeml::kernels
