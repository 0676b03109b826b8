// SPDX-License-Identifier: Apache-2.0
// qs8_dwconv_avx2: strips of up to 8 output pixels, 2 pixels x 4 channels in a vector. Contract: qs8_dwconv.h.
//
//   in      16 bytes from the first word of a pair, in both lanes   vpshufb ->  [2 pixels][4 channels][2 taps of a
//   row], u16 w       [kernel_h][groups of 2 taps]              broadcast     [4 channels][2 taps], s16 acc     [2
//   pixels][4 channels] int32              one vpmaddwd and one vpaddd per group of taps, exact
//
// Taps past the kernel's width meet a zero weight. A load begins at a needed word: it ends at most 12 bytes after the
// row's last needed one.
#if !defined(__AVX2__)
#error "built without -mavx2: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>
#include <utility>

#include "kernels/qs8_dwconv/qs8_dwconv_padded.h"
#include "kernels/requantize_avx2.h"

namespace edgeml::kernels {
namespace {

constexpr int kPairPixels = 2;
constexpr int kStripPairs = 4;
constexpr int kStripPixels = kStripPairs * kPairPixels;
constexpr int kLoadWords = 4;
constexpr int kGroupTaps = 2;

#define EDGEML_INLINE inline __attribute__((always_inline))

template <int... kI>
using Indices = std::integer_sequence<int, kI...>;
template <int kN>
using MakeIndices = std::make_integer_sequence<int, kN>;

// What all strips of a call share.
struct Plane {
  __m256i taps;       // vpshufb control: [pixel][channel][tap], a byte and a zero each
  __m256i bias;       // of the 4 channels, in each lane
  __m256 multiplier;  // likewise
  OutputRange256 range;
  std::int64_t pair_step;   // bytes of input from one pair of output pixels to the next
  std::int64_t group_step;  // bytes of input from one group of taps to the next
  int groups;               // of taps in a row
};

Plane plane_of(const PaddedPlaneArgs& args) {
  const std::int32_t tap = args.dilation_w * 4;
  const std::int32_t pixel = args.stride_w * 4;
  // An element of 32 bits: byte of tap 0, zero, byte of tap 1, zero.
  const std::int32_t channel0 = static_cast<std::int32_t>(0x80008000U) | tap << 16;
  const __m256i channels = _mm256_setr_epi32(0, 0x010001, 0x020002, 0x030003, 0, 0x010001, 0x020002, 0x030003);
  const __m256i pixels =
      _mm256_setr_epi32(0, 0, 0, 0, pixel * 0x010001, pixel * 0x010001, pixel * 0x010001, pixel * 0x010001);
  return {_mm256_add_epi32(_mm256_add_epi32(_mm256_set1_epi32(channel0), channels), pixels),
          _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(args.bias))),
          _mm256_broadcast_ps(reinterpret_cast<const __m128*>(args.multiplier)),
          broadcast_range_256(args.range),
          std::int64_t{kPairPixels} * pixel,
          std::int64_t{kGroupTaps} * tap,
          (args.kernel_w + kGroupTaps - 1) / kGroupTaps};
}

EDGEML_INLINE __m256i load_taps(const act_t* in, const Plane& plane) {
  const __m256i words = _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(in)));
  return _mm256_shuffle_epi8(words, plane.taps);
}

EDGEML_INLINE __m256i load_weights(const std::int8_t* weights) {
  return _mm256_broadcastsi128_si256(_mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(weights))));
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

// Requantizes the pairs of a strip and stores `pixels` words.
template <int kPairs, int... kPair>
EDGEML_INLINE void finish(const __m256i (&acc)[kPairs], const Plane& plane, std::int32_t pixels, act_t* out,
                          Indices<kPair...>) {
  __m256i rounded[kStripPairs] = {round_256(acc[kPair], plane.multiplier)...};
  for (int i = kPairs; i < kStripPairs; ++i) rounded[i] = _mm256_setzero_si256();
  const __m256i packed = pack_256(rounded[0], rounded[1], rounded[2], rounded[3], plane.range);
  // Word (pixel i of pair j) stands at lane i, place j: transpose.
  store_words(_mm256_permutevar8x32_epi32(packed, _mm256_setr_epi32(0, 4, 1, 5, 2, 6, 3, 7)), pixels, out);
}

// The empty statement keeps sums in this order: GCC would otherwise reassociate them into trees that do not fit the
// registers.
EDGEML_INLINE void add_pair(__m256i& acc, __m256i taps, __m256i w) {
  acc = _mm256_add_epi32(acc, _mm256_madd_epi16(taps, w));
  __asm__("" : "+x"(acc));
}

// One group of taps for all pairs of a strip. word: tap 0 of the strip's first pixel.
template <int kPairs, int... kPair>
EDGEML_INLINE void add_group(__m256i (&acc)[kPairs], const act_t* word, __m256i w, const Plane& plane,
                             Indices<kPair...>) {
  (add_pair(acc[kPair], load_taps(word + kPair * plane.pair_step, plane), w), ...);
}

// Any window. in, out: the strip's first pixel in the first row.
template <int kPairs, int... kPair>
EDGEML_INLINE void any_window(const PaddedPlaneArgs& args, const Plane& plane, const act_t* in, std::int32_t pixels,
                              act_t* out, Indices<kPair...> pairs) {
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    __m256i acc[kPairs] = {((void)kPair, plane.bias)...};
    const std::int8_t* weights = args.weights;
    const act_t* row = in + std::int64_t{y} * args.stride_h * args.in_row_step;
    for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
      for (int group = 0; group < plane.groups; ++group, weights += 4 * kGroupTaps) {
        add_group(acc, row + group * plane.group_step, load_weights(weights), plane, pairs);
      }
      row += std::int64_t{args.dilation_h} * args.in_row_step;
    }
    finish(acc, plane, pixels, out + std::int64_t{y} * args.out_w * 4, pairs);
  }
}

// Three rows of two groups, the weights in registers.
template <int kPairs, int... kPair>
EDGEML_INLINE void three_by_three(const PaddedPlaneArgs& args, const Plane& plane, const act_t* in, std::int32_t pixels,
                                  act_t* out, Indices<kPair...> pairs) {
  const __m256i w[] = {load_weights(args.weights),      load_weights(args.weights + 8),
                       load_weights(args.weights + 16), load_weights(args.weights + 24),
                       load_weights(args.weights + 32), load_weights(args.weights + 40)};
  const std::int64_t row_step = std::int64_t{args.dilation_h} * args.in_row_step;
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    __m256i acc[kPairs] = {((void)kPair, plane.bias)...};
    add_group(acc, in, w[0], plane, pairs);
    add_group(acc, in + plane.group_step, w[1], plane, pairs);
    add_group(acc, in + row_step, w[2], plane, pairs);
    add_group(acc, in + row_step + plane.group_step, w[3], plane, pairs);
    add_group(acc, in + 2 * row_step, w[4], plane, pairs);
    add_group(acc, in + 2 * row_step + plane.group_step, w[5], plane, pairs);
    finish(acc, plane, pixels, out, pairs);
    in += std::int64_t{args.stride_h} * args.in_row_step;
    out += std::int64_t{args.out_w} * 4;
  }
}

template <int kPairs>
EDGEML_INLINE void strip(const PaddedPlaneArgs& args, const Plane& plane, const act_t* in, std::int32_t pixels,
                         act_t* out) {
  if (args.kernel_h == 3 && plane.groups == 2) {
    three_by_three<kPairs>(args, plane, in, pixels, out, MakeIndices<kPairs>{});
  } else {
    any_window<kPairs>(args, plane, in, pixels, out, MakeIndices<kPairs>{});
  }
}

// Steps too wide for one load of a pair, and multipliers that round_256 does not take.
void one_by_one(const PaddedPlaneArgs& args) {
  const std::int32_t groups = (args.kernel_w + kGroupTaps - 1) / kGroupTaps;
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    for (std::int32_t x = 0; x < args.out_w; ++x) {
      std::uint32_t acc[4];
      for (int c = 0; c < 4; ++c) acc[c] = static_cast<std::uint32_t>(args.bias[c]);
      for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
        const act_t* row =
            args.in + (std::int64_t{y} * args.stride_h + std::int64_t{ky} * args.dilation_h) * args.in_row_step;
        for (std::int32_t kx = 0; kx < args.kernel_w; ++kx) {
          const act_t* word = row + (std::int64_t{x} * args.stride_w + std::int64_t{kx} * args.dilation_w) * 4;
          const std::int8_t* weights =
              args.weights + (std::int64_t{ky} * groups + kx / kGroupTaps) * 4 * kGroupTaps + kx % kGroupTaps;
          for (int c = 0; c < 4; ++c) acc[c] += static_cast<std::uint32_t>(word[c] * weights[c * kGroupTaps]);
        }
      }
      act_t* word = args.out + (std::int64_t{y} * args.out_w + x) * 4;
      for (int c = 0; c < 4; ++c) {
        word[c] = requantize(static_cast<std::int32_t>(acc[c]), args.multiplier[c], args.range);
      }
    }
  }
}

void one_plane(const PaddedPlaneArgs& args) {
  if (args.stride_w + args.dilation_w >= kLoadWords) {
    one_by_one(args);
    return;
  }
  const Plane plane = plane_of(args);
  if (!all_below_one_256(plane.multiplier)) {
    one_by_one(args);
    return;
  }
  for (std::int32_t x = 0; x < args.out_w; x += kStripPixels) {
    const std::int32_t pixels = args.out_w - x < kStripPixels ? args.out_w - x : kStripPixels;
    const act_t* in = args.in + std::int64_t{x} * args.stride_w * 4;
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

void qs8_dwconv_avx2(const QS8DwconvArgs& args) noexcept { for_padded_planes(args, 2, one_plane); }

}  // namespace edgeml::kernels
