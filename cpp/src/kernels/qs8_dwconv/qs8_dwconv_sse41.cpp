// SPDX-License-Identifier: Apache-2.0
// qs8_dwconv_sse41: 4 output pixels at a time, the 4 channels of one pixel in a vector. Contract: qs8_dwconv.h; weights
// packed with kr = 2.
//
//   in      16 bytes from a tap of a pixel         pshufb ->  [4 channels][2 taps of a row], u16
//   w       [kernel_h][groups of 2 taps]           [4 channels][2 taps], widened to s16
//   acc     [4 channels] int32 of each pixel       one pmaddwd and one paddd per group of taps, exact
//
// Taps past the kernel's width meet a zero weight. Pixels past the row's end repeat its last one. A load begins at a
// needed word and ends at most 12 bytes after the row's last needed one.
#if !defined(__SSE4_1__)
#error "built without -msse4.1: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>
#include <utility>

#include "kernels/qs8_dwconv/qs8_dwconv_padded.h"
#include "kernels/requantize_sse41.h"

namespace edgeml::kernels {
namespace {

constexpr int kPixels = 4;
constexpr int kGroupTaps = 2;
constexpr int kDilationMax = 3;  // two taps in one load

#define EDGEML_INLINE inline __attribute__((always_inline))

template <int... kI>
using Indices = std::integer_sequence<int, kI...>;

// What all pixels of a call share.
struct Plane {
  __m128i taps;  // pshufb control: [channel][tap], a byte and a zero each
  __m128i bias;
  __m128 multiplier;
  OutputRange128 range;
  std::int64_t group_step;  // bytes of input from one group of taps to the next
  int groups;               // of taps in a row
};

// 4 neighbouring pixels: words of their first tap relative to the first pixel's.
struct Quad {
  std::int64_t offset[kPixels];
  std::int32_t count;  // to be stored
};

EDGEML_INLINE __m128i load(const void* from) { return _mm_loadu_si128(static_cast<const __m128i*>(from)); }

Plane plane_of(const PaddedPlaneArgs& args) {
  const std::int32_t tap = args.dilation_w * 4;
  const std::int32_t channel0 = static_cast<std::int32_t>(0x80008000U) | (tap & 15) << 16;
  return {_mm_add_epi32(_mm_set1_epi32(channel0), _mm_setr_epi32(0, 0x010001, 0x020002, 0x030003)),
          load(args.bias),
          _mm_loadu_ps(args.multiplier),
          broadcast_range_128(args.range),
          std::int64_t{kGroupTaps} * tap,
          (args.kernel_w + kGroupTaps - 1) / kGroupTaps};
}

EDGEML_INLINE __m128i load_weights(const std::int8_t* weights) {
  return _mm_cvtepi8_epi16(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(weights)));
}

// The empty statement keeps the sums in this order: GCC would otherwise load everything first and spill them.
EDGEML_INLINE void add_group(__m128i& acc, const act_t* word, __m128i w, const Plane& plane) {
  acc = _mm_add_epi32(acc, _mm_madd_epi16(_mm_shuffle_epi8(load(word), plane.taps), w));
  __asm__("" : "+x"(acc));
}

EDGEML_INLINE void store_quad(const __m128i (&acc)[kPixels], const Plane& plane, std::int32_t count, act_t* out) {
  const __m128i words = pack_128(
      round_128(acc[0], plane.multiplier, plane.range), round_128(acc[1], plane.multiplier, plane.range),
      round_128(acc[2], plane.multiplier, plane.range), round_128(acc[3], plane.multiplier, plane.range), plane.range);
  if (count == kPixels) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out), words);
    return;
  }
  const bool two = (count & 2) != 0;
  if (two) _mm_storel_epi64(reinterpret_cast<__m128i*>(out), words);
  if ((count & 1) == 0) return;
  const std::int32_t last = two ? _mm_extract_epi32(words, 2) : _mm_cvtsi128_si32(words);
  __builtin_memcpy(out + (two ? 8 : 0), &last, 4);
}

// A window of kRows rows and kGroups groups of taps, unrolled; the row's weights are loaded for each quad.
template <int kRows, int kGroups, int... kTap>
EDGEML_INLINE void fixed_window(__m128i (&acc)[kPixels], const PaddedPlaneArgs& args, const Plane& plane,
                                const act_t* in, const Quad& quad, Indices<kTap...>) {
  const std::int64_t row_step = std::int64_t{args.dilation_h} * args.in_row_step;
  const auto add = [&](int tap) __attribute__((always_inline)) {
    const __m128i w = load_weights(args.weights + tap * 4 * kGroupTaps);
    const act_t* word = in + tap / kGroups * row_step + tap % kGroups * plane.group_step;
    add_group(acc[0], word, w, plane);
    add_group(acc[1], word + quad.offset[1], w, plane);
    add_group(acc[2], word + quad.offset[2], w, plane);
    add_group(acc[3], word + quad.offset[3], w, plane);
  };
  (add(kTap), ...);
}

EDGEML_INLINE void any_window(__m128i (&acc)[kPixels], const PaddedPlaneArgs& args, const Plane& plane, const act_t* in,
                              const Quad& quad) {
  const std::int8_t* weights = args.weights;
  for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
    const act_t* word = in + std::int64_t{ky} * args.dilation_h * args.in_row_step;
    for (int group = 0; group < plane.groups; ++group, weights += 4 * kGroupTaps, word += plane.group_step) {
      const __m128i w = load_weights(weights);
      add_group(acc[0], word, w, plane);
      add_group(acc[1], word + quad.offset[1], w, plane);
      add_group(acc[2], word + quad.offset[2], w, plane);
      add_group(acc[3], word + quad.offset[3], w, plane);
    }
  }
}

enum class Shape { three, five, any };

// A column of 4 pixels, top to bottom. in, out: of the first row.
template <Shape kShape>
__attribute__((noinline)) void column(const PaddedPlaneArgs& args, const Plane& plane, const act_t* in,
                                      const Quad& quad, act_t* out) {
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    __m128i acc[kPixels] = {plane.bias, plane.bias, plane.bias, plane.bias};
    if constexpr (kShape == Shape::three) {
      fixed_window<3, 2>(acc, args, plane, in, quad, std::make_integer_sequence<int, 6>{});
    } else if constexpr (kShape == Shape::five) {
      fixed_window<5, 3>(acc, args, plane, in, quad, std::make_integer_sequence<int, 15>{});
    } else {
      any_window(acc, args, plane, in, quad);
    }
    store_quad(acc, plane, quad.count, out);
    in += std::int64_t{args.stride_h} * args.in_row_step;
    out += std::int64_t{args.out_w} * 4;
  }
}

// Taps too far apart for one load, a word at a time.
__attribute__((noinline)) void one_by_one(const PaddedPlaneArgs& args, const Plane& plane) {
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    for (std::int32_t x = 0; x < args.out_w; ++x) {
      __m128i acc[kPixels] = {plane.bias, plane.bias, plane.bias, plane.bias};
      for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
        const act_t* row =
            args.in + (std::int64_t{y} * args.stride_h + std::int64_t{ky} * args.dilation_h) * args.in_row_step;
        for (std::int32_t kx = 0; kx < args.kernel_w; ++kx) {
          std::int32_t word;
          __builtin_memcpy(&word, row + (std::int64_t{x} * args.stride_w + std::int64_t{kx} * args.dilation_w) * 4, 4);
          const __m128i pairs = load_weights(args.weights + (ky * plane.groups + kx / 2) * 4 * kGroupTaps);
          const __m128i w = kx % 2 == 0 ? _mm_slli_epi32(pairs, 16) : pairs;
          // The tap's weight is the upper half of each pair, the lower half meets a zero.
          const __m128i taps = _mm_slli_epi32(_mm_cvtepu8_epi32(_mm_cvtsi32_si128(word)), 16);
          acc[0] = _mm_add_epi32(acc[0], _mm_madd_epi16(taps, w));
        }
      }
      store_quad(acc, plane, 1, args.out + (std::int64_t{y} * args.out_w + x) * 4);
    }
  }
}

void one_plane(const PaddedPlaneArgs& args) {
  const Plane plane = plane_of(args);
  if (args.dilation_w > kDilationMax) {
    one_by_one(args, plane);
    return;
  }
  for (std::int32_t x = 0; x < args.out_w; x += kPixels) {
    Quad quad{{}, args.out_w - x < kPixels ? args.out_w - x : kPixels};
    for (std::int32_t i = 0; i < kPixels; ++i) {
      quad.offset[i] = std::int64_t{i < quad.count ? i : quad.count - 1} * args.stride_w * 4;
    }
    const act_t* in = args.in + std::int64_t{x} * args.stride_w * 4;
    act_t* out = args.out + std::int64_t{x} * 4;
    if (args.kernel_h == 3 && plane.groups == 2) {
      column<Shape::three>(args, plane, in, quad, out);
    } else if (args.kernel_h == 5 && plane.groups == 3) {
      column<Shape::five>(args, plane, in, quad, out);
    } else {
      column<Shape::any>(args, plane, in, quad, out);
    }
  }
}

}  // namespace

void qs8_dwconv_sse41(const QS8DwconvArgs& args) noexcept { for_padded_planes(args, 2, one_plane); }

}  // namespace edgeml::kernels
