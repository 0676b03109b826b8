// SPDX-License-Identifier: Apache-2.0
// qs8_gemm_12x8c4_neondot: 12 pixels x 8 channels, depth in words of 4 channels. Contract: qs8_gemm.h.
//
//   w, packed  [n/8][k/4][8 channels][4 bytes]    2 registers: channels 0-3, 4-7
//   x, words   4 pixels in one register           3 registers, each word is the lane operand of two dots
//   sums       12 pixels x 2                      24 registers: lanes are output channels
//
// A word of C4P is 4 channels of a pixel, so the sums of 4 pixels, narrowed, are 16 bytes of an output plane as they
// stand.
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/qs8_gemm/qs8_gemm.h"
#include "kernels/requantize_neon.h"

#if !defined(__ARM_FEATURE_DOTPROD)
#error "built without +dotprod: see cmake/isa_flags.cmake"
#endif

namespace edgeml::kernels {
namespace {

constexpr std::int32_t kPixelsMax = 12;
constexpr std::int32_t kChannels = 8;

// The pixels of one tile. Pixels beyond `count` repeat the last one: they are computed and not stored.
struct Pixels {
  const act_t* word[kPixelsMax];  // of depth offset 0
  std::int32_t count;
  bool adjacent;  // all of the tile's words stand side by side
};

Pixels locate(const QS8GemmArgs& args, std::int32_t begin, std::int32_t count, std::int32_t tile) {
  const bool one_row = begin % args.out_w + tile <= args.out_w || args.in_row_step == args.out_w * std::int64_t{4};
  Pixels pixels{{}, count, args.in_col_step == 4 && one_row && count == tile};
  for (std::int32_t i = 0; i < tile; ++i) {
    const std::int32_t p = begin + (i < count ? i : count - 1);
    pixels.word[i] =
        args.in + std::int64_t{p / args.out_w} * args.in_row_step + std::int64_t{p % args.out_w} * args.in_col_step;
  }
  return pixels;
}

std::int32_t load_word(const act_t* address) {
  std::int32_t word;
  std::memcpy(&word, address, sizeof word);
  return word;
}

// Words of pixels 4*V .. 4*V+3.
template <bool kAdjacent, std::size_t V>
int8x16_t load_pixels(const Pixels& pixels, std::int32_t offset) {
  if constexpr (kAdjacent) return vld1q_s8(pixels.word[0] + offset + 16 * V);
  int32x4_t words = vdupq_n_s32(load_word(pixels.word[4 * V] + offset));
  words = vsetq_lane_s32(load_word(pixels.word[4 * V + 1] + offset), words, 1);
  words = vsetq_lane_s32(load_word(pixels.word[4 * V + 2] + offset), words, 2);
  words = vsetq_lane_s32(load_word(pixels.word[4 * V + 3] + offset), words, 3);
  return vreinterpretq_s8_s32(words);
}

// A word of channels for each of 4 pixels, beginning with pixel `first` of the tile.
void store_words(const QS8GemmArgs& args, act_t* out, int8x16_t words, std::int32_t count) {
  if (count >= 4 && args.out_pixel_step == 4) {
    vst1q_s8(out, words);
    return;
  }
  std::int32_t word[4];
  vst1q_s32(word, vreinterpretq_s32_s8(words));
  for (std::int32_t i = 0; i < count && i < 4; ++i) {
    std::memcpy(out + i * args.out_pixel_step, &word[i], sizeof word[i]);
  }
}

// In Clang the intrinsic is a macro that a pack cannot be expanded in.
template <int kLane>
inline int32x4_t dot_lane(int32x4_t sum, int8x16_t w, int8x16_t x) {
  return vdotq_laneq_s32(sum, w, x, kLane);
}

// 4*sizeof...(V) pixels starting at `begin`, the channels of one panel. P enumerates the pixels, V the registers of
// them.
template <bool kAdjacent, std::size_t... P, std::size_t... V>
void tile(const QS8GemmArgs& args, const Pixels& pixels, std::int32_t begin, std::int32_t panel,
          std::index_sequence<P...> /*pixels*/, std::index_sequence<V...> /*registers*/) {
  const std::int8_t* w = args.weights + std::int64_t{panel} * args.k_groups * (kChannels * 4);
  const std::int32_t* bias = args.bias + std::int64_t{panel} * kChannels;
  const int32x4_t bias0 = vld1q_s32(bias);
  const int32x4_t bias1 = vld1q_s32(bias + 4);
  int32x4_t sum0[] = {((void)P, bias0)...};
  int32x4_t sum1[] = {((void)P, bias1)...};
  for (std::int32_t g = 0; g < args.k_groups; ++g, w += kChannels * 4) {
    const std::int32_t offset = args.group_offset[g];
    const int8x16_t x[] = {load_pixels<kAdjacent, V>(pixels, offset)...};
    const int8x16_t w0 = vld1q_s8(w);
    const int8x16_t w1 = vld1q_s8(w + 16);
    ((sum0[P] = dot_lane<P % 4>(sum0[P], w0, x[P / 4])), ...);
    ((sum1[P] = dot_lane<P % 4>(sum1[P], w1, x[P / 4])), ...);
  }
  const float* multiplier = args.multiplier + std::int64_t{panel} * kChannels;
  const OutputRangeNeon range = broadcast(args.range);
  act_t* out = args.out + std::int64_t{panel} * 2 * args.out_plane_step + begin * args.out_pixel_step;
  const auto finish = [&](const int32x4_t* sum, const float* scale, act_t* plane) {
    const float32x4_t m = vld1q_f32(scale);
    (store_words(args, plane + 4 * V * args.out_pixel_step,
                 requantize_neon(sum[4 * V], sum[4 * V + 1], sum[4 * V + 2], sum[4 * V + 3], m, range),
                 pixels.count - static_cast<std::int32_t>(4 * V)),
     ...);
  };
  finish(sum0, multiplier, out);
  if (panel * kChannels + 4 < args.channels) finish(sum1, multiplier + 4, out + args.out_plane_step);
}

template <std::size_t kRegisters>
void panels(const QS8GemmArgs& args, std::int32_t begin, std::int32_t count) {
  constexpr std::make_index_sequence<4 * kRegisters> kPixels;
  constexpr std::make_index_sequence<kRegisters> kWords;
  const Pixels pixels = locate(args, begin, count, 4 * kRegisters);
  for (std::int32_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
    if (pixels.adjacent) {
      tile<true>(args, pixels, begin, panel, kPixels, kWords);
    } else {
      tile<false>(args, pixels, begin, panel, kPixels, kWords);
    }
  }
}

// One pixel, as in a fully connected layer: two words of depth at a time, for four chains of dots.
void one_pixel(const QS8GemmArgs& args, std::int32_t pixel) {
  const Pixels pixels = locate(args, pixel, 1, 1);
  const OutputRangeNeon range = broadcast(args.range);
  for (std::int32_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
    const std::int8_t* w = args.weights + std::int64_t{panel} * args.k_groups * (kChannels * 4);
    const std::int64_t channel = std::int64_t{panel} * kChannels;
    int32x4_t even0 = vld1q_s32(args.bias + channel);
    int32x4_t even1 = vld1q_s32(args.bias + channel + 4);
    int32x4_t odd0 = vdupq_n_s32(0);
    int32x4_t odd1 = vdupq_n_s32(0);
    const auto word = [&](std::int32_t g) {
      return vreinterpretq_s8_s32(vdupq_n_s32(load_word(pixels.word[0] + args.group_offset[g])));
    };
    std::int32_t g = 0;
    for (; g + 2 <= args.k_groups; g += 2, w += 2 * kChannels * 4) {
      const int8x16_t x0 = word(g);
      const int8x16_t x1 = word(g + 1);
      even0 = vdotq_s32(even0, vld1q_s8(w), x0);
      even1 = vdotq_s32(even1, vld1q_s8(w + 16), x0);
      odd0 = vdotq_s32(odd0, vld1q_s8(w + 32), x1);
      odd1 = vdotq_s32(odd1, vld1q_s8(w + 48), x1);
    }
    if (g < args.k_groups) {
      even0 = vdotq_s32(even0, vld1q_s8(w), word(g));
      even1 = vdotq_s32(even1, vld1q_s8(w + 16), word(g));
    }
    const float32x4_t p0 = vmulq_f32(vcvtq_f32_s32(vaddq_s32(even0, odd0)), vld1q_f32(args.multiplier + channel));
    const float32x4_t p1 = vmulq_f32(vcvtq_f32_s32(vaddq_s32(even1, odd1)), vld1q_f32(args.multiplier + channel + 4));
    const int32x4_t words = vreinterpretq_s32_s8(requantize_f32_neon(p0, p1, p0, p1, range));
    const std::int32_t word0 = vgetq_lane_s32(words, 0);
    const std::int32_t word1 = vgetq_lane_s32(words, 1);
    act_t* out = args.out + 2 * panel * args.out_plane_step + pixel * args.out_pixel_step;
    std::memcpy(out, &word0, sizeof word0);
    if (channel + 4 < args.channels) std::memcpy(out + args.out_plane_step, &word1, sizeof word1);
  }
}

}  // namespace

void qs8_gemm_12x8c4_neondot(const QS8GemmArgs& args) noexcept {
  std::int32_t pixel = args.pixel_begin;
  for (; args.pixel_end - pixel >= 12; pixel += 12) panels<3>(args, pixel, 12);
  const std::int32_t rest = args.pixel_end - pixel;
  if (rest > 8) {
    panels<3>(args, pixel, rest);
  } else if (rest > 4) {
    panels<2>(args, pixel, rest);
  } else if (rest > 1) {
    panels<1>(args, pixel, rest);
  } else if (rest == 1) {
    one_pixel(args, pixel);
  }
}

}  // namespace edgeml::kernels
