// SPDX-License-Identifier: Apache-2.0
// qs8_dwconv_avx512vnni: strips of up to 16 output pixels, 4 pixels x 4 channels in a vector. Contract: qs8_dwconv.h.
//
//   in      64 bytes from the first word of a quad    vpermb ->  [4 pixels][4 channels][4 taps of a row], u8
//   w       [kernel_h][groups of 4 taps]              broadcast  [4 channels][4 taps], s8
//   acc     [4 pixels][4 channels] int32              one vpdpbusd per group of taps
//
// The permutation is where stride_w and dilation_w go. Taps past the kernel's width meet a zero weight, so what they
// hold does not matter. A load begins at a needed word: it ends at most 60 bytes after the row's last needed one.
#if !defined(__AVX512VNNI__) || !defined(__AVX512VBMI__)
#error "built without -mavx512vnni -mavx512vbmi: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>
#include <utility>

#include "kernels/qs8_dwconv/qs8_dwconv.h"
#include "kernels/requantize_avx512.h"

namespace edgeml::kernels {
namespace {

constexpr int kQuadPixels = 4;
constexpr int kStripQuads = 4;
constexpr int kLoadWords = 16;

#define EDGEML_INLINE inline __attribute__((always_inline))

template <int... kI>
using Indices = std::integer_sequence<int, kI...>;
template <int kN>
using MakeIndices = std::make_integer_sequence<int, kN>;

// What all strips of a call share.
struct Plane {
  __m512i taps;       // byte index of [pixel][channel][tap] relative to a quad's first word
  __m512i bias;       // of the 4 channels, in each lane
  __m512 multiplier;  // likewise
  bool clamps;        // range is narrower than what a byte holds
  OutputRange512 range;
  std::int64_t quad_step;   // bytes of input from one quad of output pixels to the next
  std::int64_t group_step;  // bytes of input from one group of 4 taps to the next
  int groups;               // of taps in a row
};

EDGEML_INLINE __m512i broadcast_weights(const std::int8_t* weights) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights)));
}

Plane plane_of(const QS8DwconvArgs& args) {
  const __m512i pixel = _mm512_set_epi32(12, 12, 12, 12, 8, 8, 8, 8, 4, 4, 4, 4, 0, 0, 0, 0);
  const __m512i channel = _mm512_broadcast_i32x4(_mm_setr_epi32(0x00000000, 0x01010101, 0x02020202, 0x03030303));
  // Each 32-bit element holds the indices of 4 taps; none is above 63, so the sums do not carry.
  const __m512i taps =
      _mm512_add_epi32(_mm512_add_epi32(_mm512_mullo_epi32(pixel, _mm512_set1_epi32(args.stride_w * 0x01010101)),
                                        _mm512_set1_epi32(args.dilation_w * 0x0c080400)),
                       channel);
  return {taps,
          _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(args.bias))),
          _mm512_broadcast_f32x4(_mm_loadu_ps(args.multiplier)),
          clamps(args.range),
          broadcast_range_512(args.range),
          std::int64_t{kQuadPixels} * args.stride_w * 4,
          std::int64_t{4} * args.dilation_w * 4,
          (args.kernel_w + 3) / 4};
}

EDGEML_INLINE __m512i load_taps(const act_t* in, const Plane& plane) {
  return _mm512_permutexvar_epi8(plane.taps, _mm512_loadu_si512(in));
}

// Requantizes the quads of a strip and stores `pixels` words.
template <int kQuads, int... kQuad>
EDGEML_INLINE void finish(const __m512i (&acc)[kQuads], const Plane& plane, std::int32_t pixels, act_t* out,
                          Indices<kQuad...>) {
  __m512i rounded[kStripQuads] = {round_512(acc[kQuad], plane.multiplier)...};
  for (int q = kQuads; q < kStripQuads; ++q) rounded[q] = _mm512_setzero_si512();
  __m512i packed = pack_512(rounded[0], rounded[1], rounded[2], rounded[3], plane.range);
  if (plane.clamps) packed = clamp_512(packed, plane.range);
  // Word (pixel i of quad q) stands at lane i, place q: transpose.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i words = _mm512_permutexvar_epi32(order, packed);
  if (pixels == kQuads * kQuadPixels && kQuads == kStripQuads) {
    _mm512_storeu_si512(out, words);
  } else {
    _mm512_mask_storeu_epi32(out, static_cast<__mmask16>((1U << pixels) - 1U), words);
  }
}

// Any window. in, out: the strip's first pixel in the first row.
template <int kQuads, int... kQuad>
EDGEML_INLINE void any_window(const QS8DwconvArgs& args, const Plane& plane, const act_t* in, std::int32_t pixels,
                              act_t* out, Indices<kQuad...> quads) {
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    __m512i acc[kQuads] = {((void)kQuad, plane.bias)...};
    const std::int8_t* weights = args.weights;
    const act_t* row = in + std::int64_t{y} * args.stride_h * args.in_row_step;
    for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
      for (int group = 0; group < plane.groups; ++group, weights += 16) {
        const __m512i w = broadcast_weights(weights);
        const act_t* word = row + group * plane.group_step;
        ((acc[kQuad] = _mm512_dpbusd_epi32(acc[kQuad], load_taps(word + kQuad * plane.quad_step, plane), w)), ...);
      }
      row += std::int64_t{args.dilation_h} * args.in_row_step;
    }
    finish(acc, plane, pixels, out + std::int64_t{y} * args.out_w * 4, quads);
  }
}

// The taps of one input row for all quads of a strip.
template <int kQuads>
struct RowTaps {
  __m512i quad[kQuads];
};

template <int kQuads, int... kQuad>
EDGEML_INLINE RowTaps<kQuads> load_row(const act_t* row, const Plane& plane, Indices<kQuad...>) {
  return {{load_taps(row + kQuad * plane.quad_step, plane)...}};
}

// Three rows of at most 4 taps, no dilation downwards, stride 1 or 2: rows that two output rows share are permuted
// once.
template <int kQuads, int kStride, int... kQuad>
EDGEML_INLINE void three_rows(const QS8DwconvArgs& args, const Plane& plane, const act_t* in, std::int32_t pixels,
                              act_t* out, Indices<kQuad...> quads) {
  const __m512i w0 = broadcast_weights(args.weights);
  const __m512i w1 = broadcast_weights(args.weights + 16);
  const __m512i w2 = broadcast_weights(args.weights + 32);
  const std::int64_t step = args.in_row_step;
  RowTaps<kQuads> top = load_row<kQuads>(in, plane, quads);
  RowTaps<kQuads> middle = load_row<kQuads>(in + step, plane, quads);
  in += 2 * step;
  for (std::int32_t y = 0;; ++y) {
    const RowTaps<kQuads> bottom = load_row<kQuads>(in, plane, quads);
    __m512i acc[kQuads] = {_mm512_dpbusd_epi32(plane.bias, top.quad[kQuad], w0)...};
    ((acc[kQuad] = _mm512_dpbusd_epi32(acc[kQuad], middle.quad[kQuad], w1)), ...);
    ((acc[kQuad] = _mm512_dpbusd_epi32(acc[kQuad], bottom.quad[kQuad], w2)), ...);
    finish(acc, plane, pixels, out, quads);
    if (y + 1 == args.out_h) return;
    out += std::int64_t{args.out_w} * 4;
    if constexpr (kStride == 1) {
      top = middle;
      middle = bottom;
    } else {
      top = bottom;
      middle = load_row<kQuads>(in + step, plane, quads);
    }
    in += kStride * step;
  }
}

template <int kQuads>
EDGEML_INLINE void strip(const QS8DwconvArgs& args, const Plane& plane, const act_t* in, std::int32_t pixels,
                         act_t* out) {
  constexpr MakeIndices<kQuads> kQuadIndices;
  const bool three = args.kernel_h == 3 && plane.groups == 1 && args.dilation_h == 1;
  if (three && args.stride_h == 1) {
    three_rows<kQuads, 1>(args, plane, in, pixels, out, kQuadIndices);
  } else if (three && args.stride_h == 2) {
    three_rows<kQuads, 2>(args, plane, in, pixels, out, kQuadIndices);
  } else {
    any_window<kQuads>(args, plane, in, pixels, out, kQuadIndices);
  }
}

// Steps too wide for one load of a quad, and multipliers that round_512 does not take.
void one_by_one(const QS8DwconvArgs& args) {
  const std::int32_t groups = (args.kernel_w + 3) / 4;
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    for (std::int32_t x = 0; x < args.out_w; ++x) {
      std::uint32_t acc[4];
      for (int c = 0; c < 4; ++c) acc[c] = static_cast<std::uint32_t>(args.bias[c]);
      for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
        const act_t* row =
            args.in + (std::int64_t{y} * args.stride_h + std::int64_t{ky} * args.dilation_h) * args.in_row_step;
        for (std::int32_t kx = 0; kx < args.kernel_w; ++kx) {
          const act_t* word = row + (std::int64_t{x} * args.stride_w + std::int64_t{kx} * args.dilation_w) * 4;
          const std::int8_t* weights = args.weights + (std::int64_t{ky} * groups + kx / 4) * 16 + kx % 4;
          for (int c = 0; c < 4; ++c) acc[c] += static_cast<std::uint32_t>(word[c] * weights[c * 4]);
        }
      }
      act_t* word = args.out + (std::int64_t{y} * args.out_w + x) * 4;
      for (int c = 0; c < 4; ++c) {
        word[c] = requantize(static_cast<std::int32_t>(acc[c]), args.multiplier[c], args.range);
      }
    }
  }
}

}  // namespace

void qs8_dwconv_avx512vnni(const QS8DwconvArgs& args) noexcept {
  const Plane plane = plane_of(args);
  if (3 * (args.stride_w + args.dilation_w) >= kLoadWords || !all_below_one_512(plane.multiplier)) {
    one_by_one(args);
    return;
  }
  constexpr std::int32_t kStripPixels = kStripQuads * kQuadPixels;
  for (std::int32_t x = 0; x < args.out_w; x += kStripPixels) {
    const std::int32_t pixels = args.out_w - x < kStripPixels ? args.out_w - x : kStripPixels;
    const act_t* in = args.in + std::int64_t{x} * args.stride_w * 4;
    act_t* out = args.out + std::int64_t{x} * 4;
    switch ((pixels + kQuadPixels - 1) / kQuadPixels) {
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

}  // namespace edgeml::kernels
