// SPDX-License-Identifier: Apache-2.0
// qs8_gemm_4x4c16_neon: 4 pixels x 4 channels, depth in groups of 16. Contract: qs8_gemm.h. For CPUs without dot
// product.
//
//   x, workspace  [k/16][4 pixels][16 bytes]   4 registers   copied together once per tile, used for every panel
//   w, packed     [n/4][k/16][4 channels][16]  1 register
//   sums          4 pixels x 4 channels        16 registers  lanes: parts of one sum
//
// |w| <= 127, so two products fit int16: smull takes the lower 8 of a group, smlal2 adds the upper 8, sadalp adds
// neighbours to the sums. Weights that may be -128 (2 * 128 * 128 does not fit) are added half by half. Adding the
// lanes of the 4 channels of a pixel gives its word: a panel is a plane of the output.
#include <arm_neon.h>

#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/qs8_gemm/qs8_gemm.h"
#include "kernels/requantize_neon.h"

namespace edgeml::kernels {
namespace {

constexpr std::int32_t kTilePixels = 4;
constexpr std::int32_t kChannels = 4;
constexpr std::int32_t kGroupWords = 4;
constexpr std::int32_t kGroupBytes = 4 * kGroupWords;

#define EDGEML_INLINE inline __attribute__((always_inline))

template <int... kI>
using Indices = std::integer_sequence<int, kI...>;

// The pixels of one tile. Pixels beyond `count` repeat the last one: they are computed and not stored.
struct Pixels {
  const act_t* word[kTilePixels];  // of depth offset 0
  std::int32_t count;
  bool adjacent;  // all of the tile's words stand side by side
};

Pixels locate(const QS8GemmArgs& args, std::int32_t begin, std::int32_t count) {
  Pixels pixels{{}, count, count == kTilePixels};
  for (std::int32_t i = 0; i < kTilePixels; ++i) {
    const std::int32_t p = begin + (i < count ? i : count - 1);
    pixels.word[i] =
        args.in + std::int64_t{p / args.out_w} * args.in_row_step + std::int64_t{p % args.out_w} * args.in_col_step;
    pixels.adjacent = pixels.adjacent && pixels.word[i] == pixels.word[0] + 4 * i;
  }
  return pixels;
}

// 4 vectors of 4 words, transposed.
void store_transposed(int32x4_t r0, int32x4_t r1, int32x4_t r2, int32x4_t r3, std::int8_t* to) {
  const auto low = [](int32x4_t a, int32x4_t b) {
    return vreinterpretq_s8_s64(vzip1q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
  };
  const auto high = [](int32x4_t a, int32x4_t b) {
    return vreinterpretq_s8_s64(vzip2q_s64(vreinterpretq_s64_s32(a), vreinterpretq_s64_s32(b)));
  };
  const int32x4_t r01_even = vtrn1q_s32(r0, r1);
  const int32x4_t r01_odd = vtrn2q_s32(r0, r1);
  const int32x4_t r23_even = vtrn1q_s32(r2, r3);
  const int32x4_t r23_odd = vtrn2q_s32(r2, r3);
  vst1q_s8(to, low(r01_even, r23_even));
  vst1q_s8(to + 16, low(r01_odd, r23_odd));
  vst1q_s8(to + 32, high(r01_even, r23_even));
  vst1q_s8(to + 48, high(r01_odd, r23_odd));
}

// Fills the workspace; depth beyond the last word is zero.
void gather(const QS8GemmArgs& args, const Pixels& pixels, std::int8_t* to) {
  std::int32_t g = 0;
  if (pixels.adjacent) {
    const auto words = [&](std::int32_t group) {
      return vreinterpretq_s32_s8(vld1q_s8(pixels.word[0] + args.group_offset[group]));
    };
    for (; g + kGroupWords <= args.k_groups; g += kGroupWords, to += kTilePixels * kGroupBytes) {
      store_transposed(words(g), words(g + 1), words(g + 2), words(g + 3), to);
    }
  }
  for (; g < args.k_groups; g += kGroupWords, to += kTilePixels * kGroupBytes) {
    for (std::int32_t i = 0; i < kTilePixels; ++i) {
      std::int32_t words[kGroupWords] = {};
      for (std::int32_t j = 0; j < kGroupWords && g + j < args.k_groups; ++j) {
        std::memcpy(&words[j], pixels.word[i] + args.group_offset[g + j], 4);
      }
      std::memcpy(to + i * kGroupBytes, words, sizeof words);
    }
  }
}

template <bool kFullRange>
EDGEML_INLINE int32x4_t add_products(int32x4_t sum, int8x16_t x, int8x16_t w) {
  const int16x8_t low = vmull_s8(vget_low_s8(x), vget_low_s8(w));
  if constexpr (kFullRange) return vpadalq_s16(vpadalq_s16(sum, low), vmull_high_s8(x, w));
  return vpadalq_s16(sum, vmlal_high_s8(low, x, w));
}

// The 4 sums of 4 lanes each, one a lane.
EDGEML_INLINE int32x4_t add_lanes(int32x4_t a, int32x4_t b, int32x4_t c, int32x4_t d) {
  return vpaddq_s32(vpaddq_s32(a, b), vpaddq_s32(c, d));
}

EDGEML_INLINE void store_words(const QS8GemmArgs& args, int8x16_t words, std::int32_t count, act_t* out) {
  if (count == kTilePixels && args.out_pixel_step == 4) {
    vst1q_s8(out, words);
    return;
  }
  std::int32_t word[kTilePixels];
  vst1q_s32(word, vreinterpretq_s32_s8(words));
  for (std::int32_t i = 0; i < count; ++i) std::memcpy(out + i * args.out_pixel_step, &word[i], 4);
}

struct Panel {
  const std::int8_t* weights;
  int32x4_t bias;
  float32x4_t multiplier;
  act_t* out;
};

EDGEML_INLINE Panel panel_of(const QS8GemmArgs& args, std::int32_t index) {
  const std::int64_t groups = (args.k_groups + kGroupWords - 1) / kGroupWords;
  return {args.weights + index * groups * kChannels * kGroupBytes,
          vld1q_s32(args.bias + std::int64_t{index} * kChannels),
          vld1q_f32(args.multiplier + std::int64_t{index} * kChannels), args.out + index * args.out_plane_step};
}

// kI enumerates pixel * 4 + channel.
template <bool kFullRange, int... kI>
EDGEML_INLINE void tile(const QS8GemmArgs& args, const Panel& panel, const OutputRangeNeon& range, std::int32_t count,
                        act_t* out, Indices<kI...>) {
  const auto* x = static_cast<const std::int8_t*>(args.workspace);
  const std::int8_t* w = panel.weights;
  int32x4_t sum[] = {((void)kI, vdupq_n_s32(0))...};
  for (std::int32_t g = 0; g < args.k_groups; g += kGroupWords, x += kTilePixels * kGroupBytes, w += 64) {
    const int8x16_t pixel[] = {vld1q_s8(x), vld1q_s8(x + 16), vld1q_s8(x + 32), vld1q_s8(x + 48)};
    const int8x16_t channel[] = {vld1q_s8(w), vld1q_s8(w + 16), vld1q_s8(w + 32), vld1q_s8(w + 48)};
    ((sum[kI] = add_products<kFullRange>(sum[kI], pixel[kI / 4], channel[kI % 4])), ...);
  }
  const int32x4_t acc[] = {vaddq_s32(panel.bias, add_lanes(sum[0], sum[1], sum[2], sum[3])),
                           vaddq_s32(panel.bias, add_lanes(sum[4], sum[5], sum[6], sum[7])),
                           vaddq_s32(panel.bias, add_lanes(sum[8], sum[9], sum[10], sum[11])),
                           vaddq_s32(panel.bias, add_lanes(sum[12], sum[13], sum[14], sum[15]))};
  store_words(args, requantize_neon(acc[0], acc[1], acc[2], acc[3], panel.multiplier, range), count, out);
}

// One pixel, as in a fully connected layer. The workspace has 4 equal pixels; one is read.
template <bool kFullRange>
EDGEML_INLINE void one_pixel(const QS8GemmArgs& args, const Panel& panel, const OutputRangeNeon& range, act_t* out) {
  const auto* x = static_cast<const std::int8_t*>(args.workspace);
  const std::int8_t* w = panel.weights;
  int32x4_t sum[kChannels] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
  for (std::int32_t g = 0; g < args.k_groups; g += kGroupWords, x += kTilePixels * kGroupBytes, w += 64) {
    const int8x16_t pixel = vld1q_s8(x);
    sum[0] = add_products<kFullRange>(sum[0], pixel, vld1q_s8(w));
    sum[1] = add_products<kFullRange>(sum[1], pixel, vld1q_s8(w + 16));
    sum[2] = add_products<kFullRange>(sum[2], pixel, vld1q_s8(w + 32));
    sum[3] = add_products<kFullRange>(sum[3], pixel, vld1q_s8(w + 48));
  }
  const int32x4_t acc = vaddq_s32(panel.bias, add_lanes(sum[0], sum[1], sum[2], sum[3]));
  store_words(args, requantize_neon(acc, acc, acc, acc, panel.multiplier, range), 1, out);
}

template <bool kFullRange>
__attribute__((noinline)) void run(const QS8GemmArgs& args) {
  const OutputRangeNeon range = broadcast(args.range);
  for (std::int32_t pixel = args.pixel_begin; pixel < args.pixel_end; pixel += kTilePixels) {
    const std::int32_t left = args.pixel_end - pixel;
    const Pixels pixels = locate(args, pixel, left < kTilePixels ? left : kTilePixels);
    gather(args, pixels, static_cast<std::int8_t*>(args.workspace));
    for (std::int32_t index = args.panel_begin; index < args.panel_end; ++index) {
      const Panel panel = panel_of(args, index);
      act_t* const out = panel.out + pixel * args.out_pixel_step;
      if (pixels.count == 1) {
        one_pixel<kFullRange>(args, panel, range, out);
      } else {
        tile<kFullRange>(args, panel, range, pixels.count, out, std::make_integer_sequence<int, 16>{});
      }
    }
  }
}

}  // namespace

void qs8_gemm_4x4c16_neon(const QS8GemmArgs& args) noexcept {
  if (args.full_range_weights) {
    run<true>(args);
  } else {
    run<false>(args);
  }
}

}  // namespace edgeml::kernels
