// SPDX-License-Identifier: Apache-2.0
// qs8_dwconv_neon: 4 pixels of 4 channels at a time, for CPUs without dot product. Contract: qs8_dwconv.h; weights
// packed with kr = 1.
//
//   row of the input   the words of one tap of 4 pixels: c0 c1 c2 c3 | c0 c1 c2 c3 | c0 c1 c2 c3 | c0 c1 c2 c3
//   w                  the word of the tap, in each lane
//   sums               [4 pixels][4 channels] int32
//
// |w| <= 127, so the products of two taps fit int16: smull and smlal, then saddw to the sums. Taps are paired in the
// order of the window, over the ends of its rows. Stride 1 loads a vector, stride 2 every other word of two (ld2), any
// other stride single words. A load begins at a needed word, and ends at most 28 bytes after the last needed one.
#include <arm_neon.h>

#include <cstdint>
#include <cstring>
#include <utility>

#include "kernels/qs8_dwconv/qs8_dwconv_padded.h"
#include "kernels/requantize_neon.h"

namespace edgeml::kernels {
namespace {

constexpr std::int32_t kPixels = 4;

#define EDGEML_INLINE inline __attribute__((always_inline))

template <int... kI>
using Indices = std::integer_sequence<int, kI...>;

// What stays the same for a whole plane.
struct Plane {
  int32x4_t bias;
  float32x4_t multiplier;
  OutputRangeNeon range;
  std::int64_t row_step;  // bytes from one row of taps to the next
  std::int64_t tap_step;  // bytes from one tap of a row to the next
};

struct Sums {
  int32x4_t pixel[kPixels];
};

// 4 neighbouring pixels; those beyond the row repeat its last one where words are loaded one by one.
struct Quad {
  std::int64_t offset[kPixels];
  std::int32_t count;  // to be stored
};

EDGEML_INLINE std::int32_t load_word(const act_t* address) {
  std::int32_t word;
  std::memcpy(&word, address, sizeof word);
  return word;
}

enum class Stride { one, two, any };

template <Stride kStride>
EDGEML_INLINE int8x16_t load_words(const act_t* word, const Quad& quad) {
  if constexpr (kStride == Stride::one) return vld1q_s8(word);
  if constexpr (kStride == Stride::two) {
    return vreinterpretq_s8_s32(vld2q_s32(reinterpret_cast<const std::int32_t*>(word)).val[0]);
  }
  int32x4_t words = vdupq_n_s32(load_word(word));
  words = vsetq_lane_s32(load_word(word + quad.offset[1]), words, 1);
  words = vsetq_lane_s32(load_word(word + quad.offset[2]), words, 2);
  words = vsetq_lane_s32(load_word(word + quad.offset[3]), words, 3);
  return vreinterpretq_s8_s32(words);
}

EDGEML_INLINE int8x16_t load_tap(const std::int8_t* weights) {
  return vreinterpretq_s8_s32(vld1q_dup_s32(reinterpret_cast<const std::int32_t*>(weights)));
}

EDGEML_INLINE void add_wide(Sums& sums, int16x8_t low, int16x8_t high) {
  sums.pixel[0] = vaddw_s16(sums.pixel[0], vget_low_s16(low));
  sums.pixel[1] = vaddw_high_s16(sums.pixel[1], low);
  sums.pixel[2] = vaddw_s16(sums.pixel[2], vget_low_s16(high));
  sums.pixel[3] = vaddw_high_s16(sums.pixel[3], high);
}

EDGEML_INLINE void add_tap(Sums& sums, int8x16_t x, int8x16_t w) {
  add_wide(sums, vmull_s8(vget_low_s8(x), vget_low_s8(w)), vmull_high_s8(x, w));
}

EDGEML_INLINE void add_two_taps(Sums& sums, int8x16_t x0, int8x16_t w0, int8x16_t x1, int8x16_t w1) {
  const int16x8_t low = vmlal_s8(vmull_s8(vget_low_s8(x0), vget_low_s8(w0)), vget_low_s8(x1), vget_low_s8(w1));
  add_wide(sums, low, vmlal_high_s8(vmull_high_s8(x0, w0), x1, w1));
}

EDGEML_INLINE void store(const Plane& plane, const Sums& sums, std::int32_t count, act_t* out) {
  const int8x16_t words =
      requantize_neon(sums.pixel[0], sums.pixel[1], sums.pixel[2], sums.pixel[3], plane.multiplier, plane.range);
  if (count == kPixels) {
    vst1q_s8(out, words);
    return;
  }
  if ((count & 2) != 0) vst1_s8(out, vget_low_s8(words));
  if ((count & 1) == 0) return;
  const int32x4_t last = vreinterpretq_s32_s8(words);
  const std::int32_t word = count == 1 ? vgetq_lane_s32(last, 0) : vgetq_lane_s32(last, 2);
  std::memcpy(out + (count - 1) * 4, &word, 4);
}

// A square window of kSize, unrolled: pairs of taps, then the odd one. w(i): the weights of tap i.
template <Stride kStride, int kSize, class Taps, int... kPair>
EDGEML_INLINE void fixed_window(Sums& sums, const Taps& w, const Plane& plane, const act_t* in, const Quad& quad,
                                Indices<kPair...>) {
  const auto x = [&](int tap) __attribute__((always_inline)) {
    return load_words<kStride>(in + tap / kSize * plane.row_step + tap % kSize * plane.tap_step, quad);
  };
  (add_two_taps(sums, x(2 * kPair), w(2 * kPair), x(2 * kPair + 1), w(2 * kPair + 1)), ...);
  constexpr int kLast = kSize * kSize - 1;
  add_tap(sums, x(kLast), w(kLast));
}

template <Stride kStride>
EDGEML_INLINE void any_window(Sums& sums, const PaddedPlaneArgs& args, const Plane& plane, const act_t* in,
                              const Quad& quad) {
  const std::int8_t* w = args.weights;
  for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
    const act_t* word = in + ky * plane.row_step;
    std::int32_t kx = 0;
    for (; kx + 2 <= args.kernel_w; kx += 2, w += 8, word += 2 * plane.tap_step) {
      add_two_taps(sums, load_words<kStride>(word, quad), load_tap(w), load_words<kStride>(word + plane.tap_step, quad),
                   load_tap(w + 4));
    }
    if (kx == args.kernel_w) continue;
    add_tap(sums, load_words<kStride>(word, quad), load_tap(w));
    w += 4;
  }
}

// A column of 4 pixels, top to bottom; kSize of the window, 0 for any. in, out: of the first row.
template <Stride kStride, int kSize>
__attribute__((noinline)) void column(const PaddedPlaneArgs& args, const Plane& plane, const act_t* in,
                                      const Quad& quad, act_t* out) {
  // Nine taps stay in registers, more are loaded for every output row.
  constexpr int kKept = kSize == 3 ? 9 : 1;
  int8x16_t kept[kKept];
  for (int tap = 0; tap < kKept; ++tap) kept[tap] = load_tap(args.weights + tap * 4);
  const auto w = [&](int tap) __attribute__((always_inline)) {
    if constexpr (kSize == 3) return kept[tap];
    return load_tap(args.weights + tap * 4);
  };
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    Sums sums{{plane.bias, plane.bias, plane.bias, plane.bias}};
    if constexpr (kSize > 0) {
      fixed_window<kStride, kSize>(sums, w, plane, in, quad, std::make_integer_sequence<int, kSize * kSize / 2>{});
    } else {
      any_window<kStride>(sums, args, plane, in, quad);
    }
    store(plane, sums, quad.count, out);
    in += std::int64_t{args.stride_h} * args.in_row_step;
    out += std::int64_t{args.out_w} * 4;
  }
}

template <Stride kStride>
void run(const PaddedPlaneArgs& args, const Plane& plane) {
  const bool square = args.kernel_h == args.kernel_w;
  for (std::int32_t x = 0; x < args.out_w; x += kPixels) {
    Quad quad{{}, args.out_w - x < kPixels ? args.out_w - x : kPixels};
    for (std::int32_t i = 0; i < kPixels; ++i) {
      quad.offset[i] = std::int64_t{i < quad.count ? i : quad.count - 1} * args.stride_w * 4;
    }
    const act_t* in = args.in + std::int64_t{x} * args.stride_w * 4;
    act_t* out = args.out + std::int64_t{x} * 4;
    if (square && args.kernel_h == 3) {
      column<kStride, 3>(args, plane, in, quad, out);
    } else if (square && args.kernel_h == 5) {
      column<kStride, 5>(args, plane, in, quad, out);
    } else {
      column<kStride, 0>(args, plane, in, quad, out);
    }
  }
}

void one_plane(const PaddedPlaneArgs& args) {
  const Plane plane{vld1q_s32(args.bias), vld1q_f32(args.multiplier), broadcast(args.range),
                    std::int64_t{args.dilation_h} * args.in_row_step, std::int64_t{args.dilation_w} * 4};
  if (args.stride_w == 1) {
    run<Stride::one>(args, plane);
  } else if (args.stride_w == 2) {
    run<Stride::two>(args, plane);
  } else {
    run<Stride::any>(args, plane);
  }
}

}  // namespace

void qs8_dwconv_neon(const QS8DwconvArgs& args) noexcept { for_padded_planes(args, 1, one_plane); }

}  // namespace edgeml::kernels
