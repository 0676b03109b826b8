// SPDX-License-Identifier: Apache-2.0
// qs8_dwconv_avxvnni: strips of up to 8 output pixels, 2 pixels x 4 channels in a vector. Contract: qs8_dwconv.h;
// weights packed with kr = 4.
//
//   in      4 words of each of 2 pixels, one in a lane   vpshufb ->  [2 pixels][4 channels][4 taps of a row], u8
//   w       [kernel_h][groups of 4 taps]                 broadcast   [4 channels][4 taps], s8
//   acc     [2 pixels][4 channels] int32                 one vpdpbusd per group of taps
//
// Taps past the kernel's width meet a zero weight. A load begins at a needed word, or at that of one pixel past the
// row's end; it ends at most kStrideMax*4 + 12 bytes after the row's last needed one.
#include <immintrin.h>

#include <cstdint>
#include <utility>

#include "kernels/dot_avxvnni.h"
#include "kernels/qs8_dwconv/qs8_dwconv_padded.h"
#include "kernels/requantize_avx2.h"

namespace edgeml::kernels {
namespace {

constexpr int kPairPixels = 2;
constexpr int kStripPairs = 4;
constexpr int kStripPixels = kStripPairs * kPairPixels;
constexpr int kGroupTaps = 4;
constexpr int kStrideMax = 12;
static_assert(kStrideMax * 4 + 12 <= kDwconvReadSlack);

#define EDGEML_INLINE inline __attribute__((always_inline))

template <int... kI>
using Indices = std::integer_sequence<int, kI...>;
template <int kN>
using MakeIndices = std::make_integer_sequence<int, kN>;

// What all strips of a call share.
struct Plane {
  __m256i taps;        // vpshufb control: the 4 taps of channel 0, of channel 1, ...
  __m256i close_taps;  // likewise where both pixels of a pair are in one load of 4 words
  __m256i bias;        // of the 4 channels, in each lane
  __m256 multiplier;   // likewise
  OutputRange256 range;
  std::int64_t pixel_step;  // bytes of input from one output pixel to the next
  std::int64_t tap_step;    // bytes of input from one tap of a row to the next
  int groups;               // of taps in a row
};

EDGEML_INLINE __m128i load_128(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }

EDGEML_INLINE Plane plane_of(const PaddedPlaneArgs& args) {
  const __m256i taps = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  // One word further in the second lane; its fourth tap, which has no weight, would be beyond: keep it inside.
  const __m256i close = _mm256_and_si256(
      _mm256_add_epi8(taps, _mm256_setr_epi32(0, 0, 0, 0, 0x04040404, 0x04040404, 0x04040404, 0x04040404)),
      _mm256_set1_epi8(15));
  const __m256 multiplier = _mm256_broadcast_ps(reinterpret_cast<const __m128*>(args.multiplier));
  return {taps,
          close,
          _mm256_broadcastsi128_si256(load_128(args.bias)),
          multiplier,
          broadcast_range_256(args.range),
          std::int64_t{args.stride_w} * 4,
          std::int64_t{args.dilation_w} * 4,
          (args.kernel_w + kGroupTaps - 1) / kGroupTaps};
}

EDGEML_INLINE __m256i load_weights(const std::int8_t* weights) {
  return _mm256_broadcastsi128_si256(load_128(weights));
}

// Taps of two pixels that are one word apart, of a kernel at most 3 wide.
EDGEML_INLINE __m256i load_close_pair(const act_t* word, const Plane& plane) {
  return _mm256_shuffle_epi8(_mm256_broadcastsi128_si256(load_128(word)), plane.close_taps);
}

// Taps side by side of two pixels any distance apart.
EDGEML_INLINE __m256i load_pair(const act_t* word, const Plane& plane) {
  const __m256i first = _mm256_castsi128_si256(load_128(word));
  return _mm256_shuffle_epi8(_mm256_inserti128_si256(first, load_128(word + plane.pixel_step), 1), plane.taps);
}

// 4 taps that are dilated; those beyond the `taps` that exist repeat the last one.
EDGEML_INLINE __m128i gather_taps(const act_t* word, std::int64_t tap_step, std::int32_t taps) {
  __m128i words = _mm_setzero_si128();
  for (std::int32_t i = kGroupTaps - 1; i >= 0; --i) {
    std::int32_t tap;
    __builtin_memcpy(&tap, word + (i < taps ? i : taps - 1) * tap_step, 4);
    words = _mm_insert_epi32(_mm_slli_si128(words, 4), tap, 0);
  }
  return words;
}

EDGEML_INLINE void store_words(__m256i words, std::int32_t n, act_t* out) {
  if (n == kStripPixels) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), words);
    return;
  }
  __m128i rest = _mm256_castsi256_si128(words);
  if ((n & 4) != 0) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), rest);
    rest = _mm256_extracti128_si256(words, 1);
    out += 16;
  }
  if ((n & 2) != 0) {
    _mm_storel_epi64(reinterpret_cast<__m128i*>(out), rest);
    rest = _mm_unpackhi_epi64(rest, rest);
    out += 8;
  }
  if ((n & 1) != 0) {
    const std::int32_t word = _mm_cvtsi128_si32(rest);
    __builtin_memcpy(out, &word, 4);
  }
}

// Packs the rounded pairs of a strip and stores `pixels` words.
EDGEML_INLINE void pack_and_store(const __m256i (&rounded)[kStripPairs], const Plane& plane, std::int32_t pixels,
                                  act_t* out) {
  const __m256i packed = pack_256(rounded[0], rounded[1], rounded[2], rounded[3], plane.range);
  // Word (pixel i of pair j) stands at lane i, place j: transpose.
  store_words(_mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)), pixels, out);
}

// Any window whose taps stand side by side. in, out: the strip's first pixel in the first row.
template <int kPairs, int... kPair>
EDGEML_INLINE void any_window(const PaddedPlaneArgs& args, const Plane& plane, const act_t* in, std::int32_t pixels,
                              act_t* out, Indices<kPair...>) {
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    __m256i acc[kPairs] = {((void)kPair, plane.bias)...};
    const std::int8_t* weights = args.weights;
    const act_t* row = in + std::int64_t{y} * args.stride_h * args.in_row_step;
    for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
      const act_t* word = row;
      for (int group = 0; group < plane.groups; ++group, weights += 4 * kGroupTaps, word += 4 * kGroupTaps) {
        const __m256i w = load_weights(weights);
        ((acc[kPair] = dot_256(acc[kPair], load_pair(word + kPair * kPairPixels * plane.pixel_step, plane), w)), ...);
      }
      row += std::int64_t{args.dilation_h} * args.in_row_step;
    }
    const __m256i rounded[kStripPairs] = {round_256(acc[kPair], plane.multiplier)...};
    pack_and_store(rounded, plane, pixels, out + std::int64_t{y} * args.out_w * 4);
  }
}

template <bool kClose>
EDGEML_INLINE void add_taps(__m256i& acc, const act_t* word, __m256i w, const Plane& plane) {
  acc = dot_256(acc, kClose ? load_close_pair(word, plane) : load_pair(word, plane), w);
  __asm__("" : "+x"(acc));  // in this order: GCC would otherwise gather the taps of all rows first
}

// One row of taps for all pairs of a strip.
template <bool kClose, int kPairs, int... kPair>
EDGEML_INLINE void add_row(__m256i (&acc)[kPairs], const act_t* row, __m256i w, const Plane& plane, Indices<kPair...>) {
  (add_taps<kClose>(acc[kPair], row + kPair * kPairPixels * plane.pixel_step, w, plane), ...);
}

// Three rows of at most 4 taps side by side: the weights in registers. kClose: at most 3 taps, stride 1. Keeping sums
// of three output rows under way would load each row once, but does not fit 16 registers.
template <bool kClose, int kPairs, int... kPair>
EDGEML_INLINE void three_rows(const PaddedPlaneArgs& args, const Plane& plane, const act_t* in, std::int32_t pixels,
                              act_t* out, Indices<kPair...> pairs) {
  const __m256i w0 = load_weights(args.weights);
  const __m256i w1 = load_weights(args.weights + 16);
  const __m256i w2 = load_weights(args.weights + 32);
  const std::int64_t row_step = std::int64_t{args.dilation_h} * args.in_row_step;
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    __m256i acc[kPairs] = {((void)kPair, plane.bias)...};
    add_row<kClose>(acc, in, w0, plane, pairs);
    add_row<kClose>(acc, in + row_step, w1, plane, pairs);
    add_row<kClose>(acc, in + 2 * row_step, w2, plane, pairs);
    const __m256i rounded[kStripPairs] = {round_256(acc[kPair], plane.multiplier)...};
    pack_and_store(rounded, plane, pixels, out);
    in += std::int64_t{args.stride_h} * args.in_row_step;
    out += std::int64_t{args.out_w} * 4;
  }
}

template <int kPairs>
__attribute__((noinline)) void strip(const PaddedPlaneArgs& args, const Plane& plane, const act_t* in,
                                     std::int32_t pixels, act_t* out) {
  constexpr MakeIndices<kPairs> kPairIndices;
  if (args.kernel_h == 3 && args.kernel_w <= 3 && args.stride_w == 1) {
    three_rows<true, kPairs>(args, plane, in, pixels, out, kPairIndices);
  } else if (args.kernel_h == 3 && plane.groups == 1) {
    three_rows<false, kPairs>(args, plane, in, pixels, out, kPairIndices);
  } else {
    any_window<kPairs>(args, plane, in, pixels, out, kPairIndices);
  }
}

// What is rare: dilated taps, pixels far apart, multipliers that round_256 does not take. One pixel at a time.
__attribute__((noinline)) void one_by_one(const PaddedPlaneArgs& args, const Plane& plane) {
  const __m128 lo = _mm_set1_ps(args.range.lo);
  const __m128 hi = _mm_set1_ps(args.range.hi);
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    for (std::int32_t x = 0; x < args.out_w; ++x) {
      __m128i acc = _mm256_castsi256_si128(plane.bias);
      const std::int8_t* weights = args.weights;
      for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
        const act_t* word = args.in + x * plane.pixel_step +
                            (std::int64_t{y} * args.stride_h + std::int64_t{ky} * args.dilation_h) * args.in_row_step;
        for (std::int32_t tap = 0; tap < args.kernel_w; tap += kGroupTaps, weights += 4 * kGroupTaps) {
          const __m128i taps =
              _mm_shuffle_epi8(gather_taps(word + tap * plane.tap_step, plane.tap_step, args.kernel_w - tap),
                               _mm256_castsi256_si128(plane.taps));
          acc = dot_128(acc, taps, load_128(weights));
        }
      }
      const __m128 p = _mm_mul_ps(_mm_cvtepi32_ps(acc), _mm256_castps256_ps128(plane.multiplier));
      const __m256i rounded = _mm256_castsi128_si256(_mm_cvtps_epi32(_mm_min_ps(_mm_max_ps(p, lo), hi)));
      const __m256i packed = pack_256(rounded, rounded, rounded, rounded, plane.range);
      const std::int32_t word = _mm_cvtsi128_si32(_mm256_castsi256_si128(packed));
      __builtin_memcpy(args.out + (std::int64_t{y} * args.out_w + x) * 4, &word, 4);
    }
  }
}

void one_plane(const PaddedPlaneArgs& args) {
  const Plane plane = plane_of(args);
  if (args.stride_w > kStrideMax || args.dilation_w > 1 || !all_below_one_256(plane.multiplier)) {
    one_by_one(args, plane);
    return;
  }
  for (std::int32_t x = 0; x < args.out_w; x += kStripPixels) {
    const std::int32_t pixels = args.out_w - x < kStripPixels ? args.out_w - x : kStripPixels;
    const act_t* in = args.in + x * plane.pixel_step;
    act_t* out = args.out + std::int64_t{x} * 4;
    switch ((pixels + kPairPixels - 1) / kPairPixels) {
      case 1:
        strip<1>(args, plane, in, pixels, out);
        break;
      case 2:
        strip<2>(args, plane, in, pixels, out);
        break;
      case 3:
        strip<3>(args, plane, in, pixels, out);
        break;
      default:
        strip<4>(args, plane, in, pixels, out);
        break;
    }
  }
}

}  // namespace

void qs8_dwconv_avxvnni(const QS8DwconvArgs& args) noexcept { for_padded_planes(args, 4, one_plane); }

}  // namespace edgeml::kernels
