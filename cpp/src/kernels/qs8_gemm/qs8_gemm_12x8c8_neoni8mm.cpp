// SPDX-License-Identifier: Apache-2.0
// qs8_gemm_12x8c8_neoni8mm: 12 pixels x 8 channels, depth in groups of 8 (2 words). Contract: qs8_gemm.h.
//
//   x, workspace  [k/8][pixels of the tile][8 bytes]   6 registers    2 pixels each; copied together once per tile
//   w, packed     [n/8][k/8][8 channels][8 bytes]      4 registers    2 channels each
//   sums          6 pixel pairs x 4 channel pairs      24 registers   lanes: p0c0 p0c1 p1c0 p1c1
//
// smmla adds the 2 x 2 dot products of a pixel pair and a channel pair. The lower halves of the sums of two channel
// pairs are the 4 channels of the first pixel, the upper ones those of the second: words of C4P once narrowed.
#include <arm_neon.h>

#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/qs8_gemm/qs8_gemm.h"
#include "kernels/requantize_neon.h"

#if !defined(__ARM_FEATURE_MATMUL_INT8)
#error "built without +i8mm: see cmake/isa_flags.cmake"
#endif

namespace edgeml::kernels {
namespace {

constexpr std::int32_t kTilePixels = 12;
constexpr std::int32_t kChannels = 8;
constexpr std::int32_t kGroupWords = 2;
constexpr std::int32_t kGroupBytes = 4 * kGroupWords;

#define EDGEML_INLINE inline __attribute__((always_inline))

template <int... kI>
using Indices = std::integer_sequence<int, kI...>;

// The pixels of one tile. Pixels beyond `count` repeat the last one: they are computed and not stored.
struct Pixels {
  const act_t* word[kTilePixels];  // of depth offset 0
  std::int32_t count;
  std::int32_t tile;  // count, rounded up to a multiple of 4
  bool adjacent;      // all of the tile's words stand side by side
};

Pixels locate(const QS8GemmArgs& args, std::int32_t begin, std::int32_t count) {
  Pixels pixels{{}, count, (count + 3) / 4 * 4, count % 4 == 0};
  for (std::int32_t i = 0; i < pixels.tile; ++i) {
    const std::int32_t p = begin + (i < count ? i : count - 1);
    pixels.word[i] =
        args.in + std::int64_t{p / args.out_w} * args.in_row_step + std::int64_t{p % args.out_w} * args.in_col_step;
    pixels.adjacent = pixels.adjacent && pixels.word[i] == pixels.word[0] + 4 * i;
  }
  return pixels;
}

EDGEML_INLINE std::int32_t load_word(const act_t* address) {
  std::int32_t word;
  std::memcpy(&word, address, sizeof word);
  return word;
}

// Fills the workspace; depth beyond the last word is zero.
void gather(const QS8GemmArgs& args, const Pixels& pixels, std::int8_t* to) {
  for (std::int32_t g = 0; g < args.k_groups; g += kGroupWords) {
    const bool whole = g + 1 < args.k_groups;
    const std::int32_t first = args.group_offset[g];
    const std::int32_t second = args.group_offset[whole ? g + 1 : g];
    if (pixels.adjacent) {
      for (std::int32_t i = 0; i < pixels.tile; i += 4, to += 4 * kGroupBytes) {
        const int32x4_t a = vreinterpretq_s32_s8(vld1q_s8(pixels.word[i] + first));
        const int32x4_t b = whole ? vreinterpretq_s32_s8(vld1q_s8(pixels.word[i] + second)) : vdupq_n_s32(0);
        vst1q_s8(to, vreinterpretq_s8_s32(vzip1q_s32(a, b)));
        vst1q_s8(to + 16, vreinterpretq_s8_s32(vzip2q_s32(a, b)));
      }
      continue;
    }
    for (std::int32_t i = 0; i < pixels.tile; ++i, to += kGroupBytes) {
      const std::int32_t words[] = {load_word(pixels.word[i] + first), whole ? load_word(pixels.word[i] + second) : 0};
      std::memcpy(to, words, sizeof words);
    }
  }
}

// A word of channels for each of 4 pixels, of which `count` are stored.
EDGEML_INLINE void store_words(const QS8GemmArgs& args, act_t* out, int8x16_t words, std::int32_t count) {
  if (count >= 4 && args.out_pixel_step == 4) {
    vst1q_s8(out, words);
    return;
  }
  std::int32_t word[4];
  vst1q_s32(word, vreinterpretq_s32_s8(words));
  for (std::int32_t i = 0; i < count && i < 4; ++i) std::memcpy(out + i * args.out_pixel_step, &word[i], 4);
}

// The sums of a pixel pair with two channel pairs -> 4 channels of the first pixel, of the second.
EDGEML_INLINE int32x4_t first_pixel(int32x4_t low, int32x4_t high) {
  return vreinterpretq_s32_s64(vzip1q_s64(vreinterpretq_s64_s32(low), vreinterpretq_s64_s32(high)));
}

EDGEML_INLINE int32x4_t second_pixel(int32x4_t low, int32x4_t high) {
  return vreinterpretq_s32_s64(vzip2q_s64(vreinterpretq_s64_s32(low), vreinterpretq_s64_s32(high)));
}

// The products of one pixel pair and 4 channel pairs. The empty statement keeps the
// loads of the pairs to come behind these products: all of a step's operands and sums do not fit 32 registers.
EDGEML_INLINE void add_pair(int32x4_t* sum, const std::int8_t*& x, int index, const int8x16_t (&channels)[4]) {
  const int8x16_t pair = vld1q_s8(x + 16 * index);
  sum[0] = vmmlaq_s32(sum[0], pair, channels[0]);
  sum[1] = vmmlaq_s32(sum[1], pair, channels[1]);
  sum[2] = vmmlaq_s32(sum[2], pair, channels[2]);
  sum[3] = vmmlaq_s32(sum[3], pair, channels[3]);
  __asm__("" : "+r"(x) : "w"(sum[0]), "w"(sum[1]), "w"(sum[2]), "w"(sum[3]));
}

// kI enumerates pixel pair * 4 + channel pair, kPair pixel pairs, kQuad groups of 4 pixels.
template <int... kI, int... kPair, int... kQuad>
EDGEML_INLINE void tile(const QS8GemmArgs& args, std::int32_t panel, const OutputRangeNeon& range, std::int32_t count,
                        act_t* out, Indices<kI...>, Indices<kPair...>, Indices<kQuad...>) {
  const std::int64_t groups = (args.k_groups + kGroupWords - 1) / kGroupWords;
  const std::int8_t* w = args.weights + panel * groups * kChannels * kGroupBytes;
  const auto* x = static_cast<const std::int8_t*>(args.workspace);
  const std::int32_t* bias = args.bias + std::int64_t{panel} * kChannels;
  const int32x4_t start[] = {vreinterpretq_s32_s64(vld1q_dup_s64(reinterpret_cast<const std::int64_t*>(bias))),
                             vreinterpretq_s32_s64(vld1q_dup_s64(reinterpret_cast<const std::int64_t*>(bias + 2))),
                             vreinterpretq_s32_s64(vld1q_dup_s64(reinterpret_cast<const std::int64_t*>(bias + 4))),
                             vreinterpretq_s32_s64(vld1q_dup_s64(reinterpret_cast<const std::int64_t*>(bias + 6)))};
  int32x4_t sum[] = {start[kI % 4]...};
  for (std::int64_t g = 0; g < groups; ++g, w += kChannels * kGroupBytes) {
    const int8x16_t channels[] = {vld1q_s8(w), vld1q_s8(w + 16), vld1q_s8(w + 32), vld1q_s8(w + 48)};
    (add_pair(&sum[4 * kPair], x, kPair, channels), ...);
    x += sizeof...(kPair) * 16;
  }
  // kHalf: channels 0-3 or 4-7 of the panel.
  const auto finish = [&]<int kHalf>(const float* scale, act_t* plane) __attribute__((always_inline)) {
    const float32x4_t m = vld1q_f32(scale);
    (store_words(
         args, plane + 4 * kQuad * args.out_pixel_step,
         requantize_neon(first_pixel(sum[8 * kQuad + 2 * kHalf], sum[8 * kQuad + 2 * kHalf + 1]),
                         second_pixel(sum[8 * kQuad + 2 * kHalf], sum[8 * kQuad + 2 * kHalf + 1]),
                         first_pixel(sum[8 * kQuad + 4 + 2 * kHalf], sum[8 * kQuad + 5 + 2 * kHalf]),
                         second_pixel(sum[8 * kQuad + 4 + 2 * kHalf], sum[8 * kQuad + 5 + 2 * kHalf]), m, range),
         count - 4 * kQuad),
     ...);
  };
  const float* multiplier = args.multiplier + std::int64_t{panel} * kChannels;
  out += std::int64_t{panel} * 2 * args.out_plane_step;
  finish.template operator()<0>(multiplier, out);
  if (panel * kChannels + 4 < args.channels) finish.template operator()<1>(multiplier + 4, out + args.out_plane_step);
}

// Not inlined into the loop over panels: the constants of the requantization would live in registers that the sums
// need.
template <int kQuads>
__attribute__((noinline)) void one_panel(const QS8GemmArgs& args, std::int32_t panel, const OutputRangeNeon& range,
                                         std::int32_t count, act_t* out) {
  tile(args, panel, range, count, out, std::make_integer_sequence<int, 8 * kQuads>{},
       std::make_integer_sequence<int, 2 * kQuads>{}, std::make_integer_sequence<int, kQuads>{});
}

template <int kQuads>
void panels(const QS8GemmArgs& args, const OutputRangeNeon& range, std::int32_t count, act_t* out) {
  for (std::int32_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
    one_panel<kQuads>(args, panel, range, count, out);
  }
}

// One pixel, as in a fully connected layer: plain dots with the pixel's 8 bytes in both halves; a lane sums 4 of the 8
// bytes of a channel. The workspace has 4 equal pixels; one is read.
__attribute__((noinline)) void one_pixel(const QS8GemmArgs& args, const OutputRangeNeon& range, act_t* out) {
  const std::int64_t groups = (args.k_groups + kGroupWords - 1) / kGroupWords;
  for (std::int32_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
    const std::int8_t* w = args.weights + panel * groups * kChannels * kGroupBytes;
    const auto* x = static_cast<const std::int8_t*>(args.workspace);
    int32x4_t sum[4] = {vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0), vdupq_n_s32(0)};
    for (std::int64_t g = 0; g < groups; ++g, w += kChannels * kGroupBytes, x += 4 * kGroupBytes) {
      const int8x16_t pixel = vld1q_s8(x);  // two equal pixels
      sum[0] = vdotq_s32(sum[0], pixel, vld1q_s8(w));
      sum[1] = vdotq_s32(sum[1], pixel, vld1q_s8(w + 16));
      sum[2] = vdotq_s32(sum[2], pixel, vld1q_s8(w + 32));
      sum[3] = vdotq_s32(sum[3], pixel, vld1q_s8(w + 48));
    }
    const std::int64_t channel = std::int64_t{panel} * kChannels;
    const int32x4_t acc0 = vaddq_s32(vld1q_s32(args.bias + channel), vpaddq_s32(sum[0], sum[1]));
    const int32x4_t acc1 = vaddq_s32(vld1q_s32(args.bias + channel + 4), vpaddq_s32(sum[2], sum[3]));
    const float32x4_t p0 = vmulq_f32(vcvtq_f32_s32(acc0), vld1q_f32(args.multiplier + channel));
    const float32x4_t p1 = vmulq_f32(vcvtq_f32_s32(acc1), vld1q_f32(args.multiplier + channel + 4));
    const int32x4_t words = vreinterpretq_s32_s8(requantize_f32_neon(p0, p1, p0, p1, range));
    const std::int32_t word0 = vgetq_lane_s32(words, 0);
    const std::int32_t word1 = vgetq_lane_s32(words, 1);
    std::memcpy(out + 2 * panel * args.out_plane_step, &word0, 4);
    if (channel + 4 < args.channels) std::memcpy(out + (2 * panel + 1) * args.out_plane_step, &word1, 4);
  }
}

}  // namespace

void qs8_gemm_12x8c8_neoni8mm(const QS8GemmArgs& args) noexcept {
  const OutputRangeNeon range = broadcast(args.range);
  for (std::int32_t pixel = args.pixel_begin; pixel < args.pixel_end; pixel += kTilePixels) {
    const std::int32_t left = args.pixel_end - pixel;
    const Pixels pixels = locate(args, pixel, left < kTilePixels ? left : kTilePixels);
    gather(args, pixels, static_cast<std::int8_t*>(args.workspace));
    act_t* const out = args.out + pixel * args.out_pixel_step;
    if (pixels.count == 1) {
      one_pixel(args, range, out);
    } else if (pixels.tile == 4) {
      panels<1>(args, range, pixels.count, out);
    } else if (pixels.tile == 8) {
      panels<2>(args, range, pixels.count, out);
    } else {
      panels<3>(args, range, pixels.count, out);
    }
  }
}

}  // namespace edgeml::kernels
