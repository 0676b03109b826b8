// SPDX-License-Identifier: Apache-2.0
// qs8_dwconv_neondot: 4 pixels of 4 channels at a time. Contract: qs8_dwconv.h; weights packed with kr = 4.
//
//   row of the input   4 neighbouring words: c0 c1 c2 c3 | c0 c1 c2 c3 | c0 c1 c2 c3 | c0 c1 c2 c3
//   window, by tbl     c0 c0 c0 c0 | c1 c1 c1 c1 | c2 c2 c2 c2 | c3 c3 c3 c3     4 taps of each channel
//   one dot            adds 4 taps to the 4 channels of one pixel
//
// Where windows overlap downwards (stride 1, no dilation, 3 rows) a column of 4 pixels keeps the windows of three rows
// in registers and makes each once.
#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "kernels/qs8_dwconv/qs8_dwconv_padded.h"
#include "kernels/requantize_neon.h"

#if !defined(__ARM_FEATURE_DOTPROD)
#error "built without +dotprod: see cmake/isa_flags.cmake"
#endif

namespace edgeml::kernels {
namespace {

constexpr std::int32_t kPixels = 4;
// Three pixels that are computed but not stored, their windows, and the taps of zero weight stay within the slack.
constexpr std::int32_t kStrideMax = 4;
static_assert(((kPixels - 1) * kStrideMax + 3) * 4 <= kDwconvReadSlack);

alignas(16) constexpr std::uint8_t kTapsOfChannels[16] = {0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15};

// What stays the same for a whole plane.
struct Plane {
  const PaddedPlaneArgs& args;
  uint8x16_t taps_of_channels;
  int32x4_t bias;
  float32x4_t multiplier;
  OutputRangeNeon range;
  std::int32_t groups;  // of 4 taps in a row of the window
};

struct Sums {
  int32x4_t pixel[kPixels];
};

struct Windows {
  int8x16_t pixel[kPixels];
};

int8x16_t window(const Plane& plane, const act_t* word) { return vqtbl1q_s8(vld1q_s8(word), plane.taps_of_channels); }

// The windows of 4 pixels whose first words are `step` bytes apart.
Windows windows_at(const Plane& plane, const act_t* word, std::int32_t step) {
  return {{window(plane, word), window(plane, word + step), window(plane, word + 2 * step),
           window(plane, word + 3 * step)}};
}

// The window of taps that do not stand side by side; taps beyond the kernel repeat the last one, their weight is 0.
int8x16_t dilated_window(const Plane& plane, const act_t* word, std::int32_t taps) {
  std::int32_t words[4];
  for (std::int32_t i = 0; i < 4; ++i) {
    const std::int32_t tap = i < taps ? i : taps - 1;
    std::memcpy(&words[i], word + std::int64_t{tap} * plane.args.dilation_w * 4, sizeof words[i]);
  }
  return vqtbl1q_s8(vreinterpretq_s8_s32(vld1q_s32(words)), plane.taps_of_channels);
}

[[gnu::always_inline]] inline void store(const Plane& plane, const Sums& sums, std::int32_t y, std::int32_t x) {
  const int8x16_t words =
      requantize_neon(sums.pixel[0], sums.pixel[1], sums.pixel[2], sums.pixel[3], plane.multiplier, plane.range);
  act_t* out = plane.args.out + (std::int64_t{y} * plane.args.out_w + x) * 4;
  const std::int32_t count = plane.args.out_w - x;
  if (count >= kPixels) {
    vst1q_s8(out, words);
    return;
  }
  // Not memcpy of that many bytes: around a call all sums under way would go to the stack.
  if ((count & 2) != 0) vst1_s8(out, vget_low_s8(words));
  if ((count & 1) == 0) return;
  const int32x4_t last = vreinterpretq_s32_s8(words);
  const std::int32_t word = count == 1 ? vgetq_lane_s32(last, 0) : vgetq_lane_s32(last, 2);
  std::memcpy(out + (count - 1) * 4, &word, sizeof word);
}

const act_t* first_word(const Plane& plane, std::int32_t row, std::int32_t x) {
  return plane.args.in + std::int64_t{row} * plane.args.in_row_step + std::int64_t{x} * plane.args.stride_w * 4;
}

// The sums of 4 pixels plus the dots of their windows with one row of taps.
Sums add(const Sums& sums, int8x16_t taps, const Windows& windows) {
  return {{vdotq_s32(sums.pixel[0], taps, windows.pixel[0]), vdotq_s32(sums.pixel[1], taps, windows.pixel[1]),
           vdotq_s32(sums.pixel[2], taps, windows.pixel[2]), vdotq_s32(sums.pixel[3], taps, windows.pixel[3])}};
}

// A column of 4 pixels, top to bottom, 3 rows and at most 4 columns of taps, stride 1, no dilation. Each row of windows
// is the last row of one output, the middle one of the next, and the first of the one after that.
[[gnu::noinline]] void column_3_rows(const Plane& plane, std::int32_t x) {
  const int8x16_t first_taps = vld1q_s8(plane.args.weights);
  const int8x16_t middle_taps = vld1q_s8(plane.args.weights + 16);
  const int8x16_t last_taps = vld1q_s8(plane.args.weights + 32);
  const Sums bias{{plane.bias, plane.bias, plane.bias, plane.bias}};
  const act_t* word = first_word(plane, 0, x);
  const Windows top = windows_at(plane, word, 4);
  word += plane.args.in_row_step;
  const Windows second = windows_at(plane, word, 4);
  Sums a = add(add(bias, first_taps, top), middle_taps, second);
  Sums b = add(bias, first_taps, second);
  const auto finish_row = [&](Sums& two_rows, Sums& one_row, std::int32_t y) {
    word += plane.args.in_row_step;
    const Windows windows = windows_at(plane, word, 4);
    store(plane, add(two_rows, last_taps, windows), y, x);
    one_row = add(one_row, middle_taps, windows);  // now it has two rows
    two_rows = add(bias, first_taps, windows);     // and this one
  };
  std::int32_t y = 0;
  for (; y + 2 <= plane.args.out_h; y += 2) {  // twice, with changed roles: no register is copied
    finish_row(a, b, y);
    finish_row(b, a, y + 1);
  }
  if (y < plane.args.out_h) finish_row(a, b, y);
}

// 4 pixels of a row, any window of taps side by side.
[[gnu::noinline]] void pixels_of_row(const Plane& plane, std::int32_t y, std::int32_t x) {
  const PaddedPlaneArgs& args = plane.args;
  Sums sums{{plane.bias, plane.bias, plane.bias, plane.bias}};
  const std::int8_t* w = args.weights;
  for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
    const act_t* word = first_word(plane, y * args.stride_h + ky * args.dilation_h, x);
    for (std::int32_t group = 0; group < plane.groups; ++group, w += 16, word += 16) {
      sums = add(sums, vld1q_s8(w), windows_at(plane, word, 4 * args.stride_w));
    }
  }
  store(plane, sums, y, x);
}

// The same for any stride and dilation; pixels beyond the row repeat its last one, so that only their taps are read.
void spread_pixels_of_row(const Plane& plane, std::int32_t y, std::int32_t x) {
  const PaddedPlaneArgs& args = plane.args;
  Sums sums{{plane.bias, plane.bias, plane.bias, plane.bias}};
  for (std::int32_t i = 0; i < kPixels; ++i) {
    const std::int32_t column = x + i < args.out_w ? x + i : args.out_w - 1;
    const std::int8_t* w = args.weights;
    for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
      const act_t* word = first_word(plane, y * args.stride_h + ky * args.dilation_h, column);
      for (std::int32_t tap = 0; tap < args.kernel_w; tap += 4, w += 16) {
        const int8x16_t taps =
            dilated_window(plane, word + std::int64_t{tap} * args.dilation_w * 4, args.kernel_w - tap);
        sums.pixel[i] = vdotq_s32(sums.pixel[i], vld1q_s8(w), taps);
      }
    }
  }
  store(plane, sums, y, x);
}

void one_plane(const PaddedPlaneArgs& args) {
  const Plane plane{args,
                    vld1q_u8(kTapsOfChannels),
                    vld1q_s32(args.bias),
                    vld1q_f32(args.multiplier),
                    broadcast(args.range),
                    (args.kernel_w + 3) / 4};
  const bool side_by_side = args.dilation_w == 1 && args.stride_w <= kStrideMax;
  if (side_by_side && args.kernel_h == 3 && args.kernel_w <= 4 && args.stride_h == 1 && args.dilation_h == 1 &&
      args.stride_w == 1) {
    for (std::int32_t x = 0; x < args.out_w; x += kPixels) column_3_rows(plane, x);
    return;
  }
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    for (std::int32_t x = 0; x < args.out_w; x += kPixels) {
      side_by_side ? pixels_of_row(plane, y, x) : spread_pixels_of_row(plane, y, x);
    }
  }
}

}  // namespace

void qs8_dwconv_neondot(const QS8DwconvArgs& args) noexcept { for_padded_planes(args, 4, one_plane); }

}  // namespace edgeml::kernels
