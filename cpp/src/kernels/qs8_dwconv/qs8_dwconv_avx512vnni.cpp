// SPDX-License-Identifier: Apache-2.0
// qs8_dwconv_avx512vnni: strips of up to 16 output pixels, 4 pixels x 4 channels in a vector. Contract: qs8_dwconv.h.
//
//   in      64 bytes from the first word of a quad    vpermb ->  [4 pixels][4 channels][4 taps of a row], u8
//   w       [kernel_h][groups of 4 taps]              broadcast  [4 channels][4 taps], s8
//   acc     [4 pixels][4 channels] int32              one vpdpbusd per group of taps
//
// The permutation is where stride_w and dilation_w go. Taps past the kernel's width meet a zero weight, so what they
// hold does not matter. Words outside the plane are masked out of the load and are the zero point instead; strips whose
// loads all lie inside their rows have no masks.
#if !defined(__AVX512VNNI__) || !defined(__AVX512VBMI__)
#error "built without -mavx512vnni -mavx512vbmi: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>
#include <utility>

#include "kernels/qs8_dwconv/qs8_dwconv.h"
#include "kernels/qs8_dwconv/qs8_dwconv_pack.h"
#include "kernels/requantize_avx512.h"

namespace edgeml::kernels {
namespace {

constexpr int kQuadPixels = 4;
constexpr int kStripQuads = 4;
constexpr int kLoadWords = 16;
constexpr int kGroupTaps = 4;

#define EDGEML_INLINE inline __attribute__((always_inline))

template <int... kI>
using Indices = std::integer_sequence<int, kI...>;
template <int kN>
using MakeIndices = std::make_integer_sequence<int, kN>;

// What the planes of a call share.
struct Window {
  __m512i taps;        // byte index of [pixel][channel][tap] relative to a quad's first word
  __m512i zero_point;  // of the input, in every byte
  bool clamps;         // range is narrower than what a byte holds
  OutputRange512 range;
  std::int32_t quad_step;   // words of input from one quad of output pixels to the next
  std::int32_t group_step;  // words of input from one group of 4 taps to the next
  int groups;               // of taps in a row
  bool wide;                // a quad needs more than one load
};

struct Plane {
  const act_t* in;
  act_t* out;
  const std::int8_t* weights;
  const std::int32_t* bias;
  const float* multiplier;
};

Window window_of(const QS8DwconvArgs& args) {
  const __m512i pixel = _mm512_set_epi32(12, 12, 12, 12, 8, 8, 8, 8, 4, 4, 4, 4, 0, 0, 0, 0);
  const __m512i channel = _mm512_broadcast_i32x4(_mm_setr_epi32(0x00000000, 0x01010101, 0x02020202, 0x03030303));
  // Each 32-bit element holds the indices of 4 taps; none is above 63 unless wide, so the sums do not carry.
  const __m512i taps =
      _mm512_add_epi32(_mm512_add_epi32(_mm512_mullo_epi32(pixel, _mm512_set1_epi32(args.stride_w * 0x01010101)),
                                        _mm512_set1_epi32(args.dilation_w * 0x0c080400)),
                       channel);
  return {taps,
          _mm512_set1_epi8(static_cast<char>(args.zero_point_in)),
          clamps(args.range),
          broadcast_range_512(args.range),
          kQuadPixels * args.stride_w,
          kGroupTaps * args.dilation_w,
          (args.kernel_w + kGroupTaps - 1) / kGroupTaps,
          3 * (args.stride_w + args.dilation_w) >= kLoadWords};
}

Plane plane_of(const QS8DwconvArgs& args, std::int32_t plane) {
  return {args.in + plane * args.in_plane_step, args.out + plane * args.out_plane_step,
          args.weights + plane * qs8_dwconv_packed_bytes(args.kernel_h, args.kernel_w, kGroupTaps),
          args.bias + std::int64_t{plane} * 4, args.multiplier + std::int64_t{plane} * 4};
}

EDGEML_INLINE __m512i broadcast_weights(const std::int8_t* weights) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(weights)));
}

// Which of the 16 words from column `first` on are in the row.
EDGEML_INLINE __mmask16 words_inside(std::int32_t first, std::int32_t in_w) {
  const std::int32_t before = first < 0 ? -first : 0;
  const std::int32_t end = in_w - first;
  if (before >= kLoadWords || end <= 0) return 0;
  const std::uint32_t below_end = end >= kLoadWords ? 0xffffU : (1U << end) - 1U;
  return static_cast<__mmask16>(below_end & (0xffffU << before));
}

// Up to 16 output pixels of each row, from `column` on.
struct Strip {
  std::int32_t column, pixels;
};

// The first input column of a quad and group of taps.
EDGEML_INLINE std::int32_t first_column(const QS8DwconvArgs& args, const Window& window, const Strip& strip, int quad,
                                        int group) {
  return strip.column * args.stride_w - args.pad_left + quad * window.quad_step + group * window.group_step;
}

template <bool kMasked>
EDGEML_INLINE __m512i load_taps(const act_t* word, __mmask16 inside, const Window& window) {
  const __m512i words = kMasked ? _mm512_mask_loadu_epi32(window.zero_point, inside, word) : _mm512_loadu_si512(word);
  return _mm512_permutexvar_epi8(window.taps, words);
}

EDGEML_INLINE __m512i round_sums(__m512i acc, __m512 multiplier, bool below_one, const OutputRange& range) {
  return below_one ? round_512(acc, multiplier) : round_clamped_512(acc, multiplier, range);
}

// The rounded results of a strip as the words that are stored.
EDGEML_INLINE __m512i words_of(const __m512i (&rounded)[kStripQuads], const Window& window) {
  __m512i packed = pack_512(rounded[0], rounded[1], rounded[2], rounded[3], window.range);
  if (window.clamps) packed = clamp_512(packed, window.range);
  // Word (pixel i of quad q) stands at lane i, place q: transpose.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  return _mm512_permutexvar_epi32(order, packed);
}

template <int kQuads, int... kQuad>
EDGEML_INLINE void finish(const QS8DwconvArgs& args, const __m512i (&acc)[kQuads], const Window& window,
                          __m512 multiplier, bool below_one, std::int32_t pixels, act_t* out, Indices<kQuad...>) {
  __m512i rounded[kStripQuads] = {round_sums(acc[kQuad], multiplier, below_one, args.range)...};
  for (int q = kQuads; q < kStripQuads; ++q) rounded[q] = _mm512_setzero_si512();
  const __m512i words = words_of(rounded, window);
  if (pixels == kQuads * kQuadPixels && kQuads == kStripQuads) {
    _mm512_storeu_si512(out, words);
  } else {
    _mm512_mask_storeu_epi32(out, static_cast<__mmask16>((1U << pixels) - 1U), words);
  }
}

// The taps of one input row for all groups and quads of a strip: [group][quad].
template <int kLoads>
struct RowTaps {
  __m512i load[kLoads];
};

template <int kLoads>
struct Columns {
  std::int32_t offset[kLoads];  // bytes from the start of a row
  __mmask16 inside[kLoads];
};

template <bool kMasked, int kLoads, int... kLoad>
EDGEML_INLINE RowTaps<kLoads> load_row(const QS8DwconvArgs& args, const Window& window, const Plane& plane,
                                       const Columns<kLoads>& columns, std::int32_t y, Indices<kLoad...>) {
  if (y < 0 || y >= args.in_h) return {{((void)kLoad, window.zero_point)...}};
  const act_t* row = plane.in + std::int64_t{y} * args.in_w * 4;
  return {{load_taps<kMasked>(row + columns.offset[kLoad], columns.inside[kLoad], window)...}};
}

template <int kRow, int kGroups, int kQuads, int... kQuad, int... kGroup>
EDGEML_INLINE void add_row(__m512i (&acc)[kQuads], const RowTaps<kGroups * kQuads>& taps, const __m512i* weights,
                           Indices<kQuad...>, Indices<kGroup...>) {
  const auto add_group = [&](auto group) {
    constexpr int kG = decltype(group)::value;
    ((acc[kQuad] = _mm512_dpbusd_epi32(acc[kQuad], taps.load[kG * kQuads + kQuad], weights[kRow * kGroups + kG])), ...);
  };
  (add_group(std::integral_constant<int, kGroup>{}), ...);
}

// No dilation downwards. The permuted taps of kRows input rows stay in registers while the output rows go down: a row
// that several output rows need is loaded and permuted once.
template <int kRows, int kGroups, int kQuads, int kStride, bool kMasked, int... kRow, int... kKept, int... kLoad>
EDGEML_INLINE void rolling_rows(const QS8DwconvArgs& args, const Window& window, const Plane& plane, const Strip& strip,
                                Indices<kRow...>, Indices<kKept...>, Indices<kLoad...> loads) {
  constexpr MakeIndices<kQuads> kQuadIndices;
  constexpr MakeIndices<kGroups> kGroupIndices;
  constexpr int kLoads = kGroups * kQuads;
  const std::int32_t column[] = {first_column(args, window, strip, kLoad % kQuads, kLoad / kQuads)...};
  const Columns<kLoads> columns{{column[kLoad] * 4 ...}, {words_inside(column[kLoad], args.in_w)...}};
  const auto load = [&](std::int32_t y) { return load_row<kMasked, kLoads>(args, window, plane, columns, y, loads); };
  const __m512i bias = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(plane.bias)));
  const __m512 multiplier = _mm512_broadcast_f32x4(_mm_loadu_ps(plane.multiplier));
  const bool below_one = all_below_one_512(multiplier);
  const auto weights_of_row = [&](int row, int group) {
    return broadcast_weights(plane.weights + (row * kGroups + group) * 16);
  };
  __m512i weights[kRows * kGroups];
  for (int row = 0; row < kRows; ++row) {
    for (int group = 0; group < kGroups; ++group) weights[row * kGroups + group] = weights_of_row(row, group);
  }
  RowTaps<kLoads> rows[kRows];
  std::int32_t y_in = -args.pad_top;
  ((rows[kKept + kStride] = load(y_in + kKept)), ...);
  y_in += kRows - kStride;
  act_t* out = plane.out + std::int64_t{strip.column} * 4;
  for (std::int32_t y = 0; y < args.out_h; ++y, y_in += kStride, out += std::int64_t{args.out_w} * 4) {
    ((rows[kKept] = rows[kKept + kStride]), ...);
    rows[kRows - 1] = load(y_in + kStride - 1);
    if constexpr (kStride == 2) rows[kRows - 2] = load(y_in);
    __m512i acc[kQuads];
    for (int quad = 0; quad < kQuads; ++quad) acc[quad] = bias;
    (add_row<kRow, kGroups, kQuads>(acc, rows[kRow], weights, kQuadIndices, kGroupIndices), ...);
    finish(args, acc, window, multiplier, below_one, strip.pixels, out, kQuadIndices);
  }
}

template <int kRows, int kGroups, int kQuads, bool kMasked>
EDGEML_INLINE void rolling_strip(const QS8DwconvArgs& args, const Window& window, const Plane& plane,
                                 const Strip& strip) {
  constexpr MakeIndices<kRows> kRowIndices;
  constexpr MakeIndices<kGroups * kQuads> kLoadIndices;
  if (args.stride_h == 1) {
    rolling_rows<kRows, kGroups, kQuads, 1, kMasked>(args, window, plane, strip, kRowIndices, MakeIndices<kRows - 1>{},
                                                     kLoadIndices);
  } else {
    rolling_rows<kRows, kGroups, kQuads, 2, kMasked>(args, window, plane, strip, kRowIndices, MakeIndices<kRows - 2>{},
                                                     kLoadIndices);
  }
}

// Whether all loads of a strip lie inside the rows.
bool strip_is_inside(const QS8DwconvArgs& args, const Window& window, const Strip& strip, int quads) {
  return first_column(args, window, strip, 0, 0) >= 0 &&
         first_column(args, window, strip, quads - 1, window.groups - 1) + kLoadWords <= args.in_w;
}

template <int kRows, int kGroups, int kQuads>
__attribute__((noinline)) void run_strip(const QS8DwconvArgs& args, const Window& window, const Plane& plane,
                                         const Strip& strip) {
  if (strip_is_inside(args, window, strip, kQuads)) {
    rolling_strip<kRows, kGroups, kQuads, false>(args, window, plane, strip);
  } else {
    rolling_strip<kRows, kGroups, kQuads, true>(args, window, plane, strip);
  }
}

// Any window, 4 pixels at a time.
__attribute__((noinline)) void any_window_quad(const QS8DwconvArgs& args, const Window& window, const Plane& plane,
                                               const Strip& strip) {
  const __m512i bias = _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(plane.bias)));
  const __m512 multiplier = _mm512_broadcast_f32x4(_mm_loadu_ps(plane.multiplier));
  const bool below_one = all_below_one_512(multiplier);
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    __m512i acc[1] = {bias};
    const std::int8_t* weights = plane.weights;
    for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
      const std::int64_t y_in = std::int64_t{y} * args.stride_h + std::int64_t{ky} * args.dilation_h - args.pad_top;
      const bool row_inside = y_in >= 0 && y_in < args.in_h;
      const act_t* row = plane.in + (row_inside ? y_in : 0) * args.in_w * 4;
      for (int group = 0; group < window.groups; ++group, weights += 16) {
        const std::int32_t column = first_column(args, window, strip, 0, group);
        const __mmask16 inside = row_inside ? words_inside(column, args.in_w) : __mmask16{0};
        acc[0] = _mm512_dpbusd_epi32(acc[0], load_taps<true>(row + std::int64_t{column} * 4, inside, window),
                                     broadcast_weights(weights));
      }
    }
    finish(args, acc, window, multiplier, below_one, strip.pixels,
           plane.out + (std::int64_t{y} * args.out_w + strip.column) * 4, Indices<0>{});
  }
}

// Steps too wide for one load of a quad.
std::uint32_t one_sum(const QS8DwconvArgs& args, const Plane& plane, std::int32_t y, std::int32_t x, int channel) {
  const std::int32_t groups = (args.kernel_w + kGroupTaps - 1) / kGroupTaps;
  auto sum = static_cast<std::uint32_t>(plane.bias[channel]);
  for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
    const std::int64_t row = std::int64_t{y} * args.stride_h + std::int64_t{ky} * args.dilation_h - args.pad_top;
    for (std::int32_t kx = 0; kx < args.kernel_w; ++kx) {
      const std::int64_t column = std::int64_t{x} * args.stride_w + std::int64_t{kx} * args.dilation_w - args.pad_left;
      const bool inside = row >= 0 && row < args.in_h && column >= 0 && column < args.in_w;
      const std::int32_t value = inside ? plane.in[(row * args.in_w + column) * 4 + channel] : args.zero_point_in;
      const std::int8_t weight =
          plane.weights[(std::int64_t{ky} * groups + kx / kGroupTaps) * 16 + channel * kGroupTaps + kx % kGroupTaps];
      sum += static_cast<std::uint32_t>(value * weight);
    }
  }
  return sum;
}

void one_by_one(const QS8DwconvArgs& args, const Plane& plane) {
  act_t* word = plane.out;
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    for (std::int32_t x = 0; x < args.out_w; ++x, word += 4) {
      for (int c = 0; c < 4; ++c) {
        word[c] = requantize(static_cast<std::int32_t>(one_sum(args, plane, y, x, c)), plane.multiplier[c], args.range);
      }
    }
  }
}

// Calls run_strip with as many quads as the last strip needs.
template <int kRows, int kGroups, int kQuadsMax>
void run_strips(const QS8DwconvArgs& args, const Window& window, const Plane& plane) {
  constexpr std::int32_t kStripPixels = kQuadsMax * kQuadPixels;
  Strip strip{0, kStripPixels};
  for (; strip.column + kStripPixels <= args.out_w; strip.column += kStripPixels) {
    run_strip<kRows, kGroups, kQuadsMax>(args, window, plane, strip);
  }
  strip.pixels = args.out_w - strip.column;
  if (strip.pixels == 0) return;
  const int quads = (strip.pixels + kQuadPixels - 1) / kQuadPixels;
  const auto run = [&](auto n) {
    if constexpr (n.value <= kQuadsMax) {
      if (quads == n.value) run_strip<kRows, kGroups, n.value>(args, window, plane, strip);
    }
  };
  run(std::integral_constant<int, 1>{});
  run(std::integral_constant<int, 2>{});
  run(std::integral_constant<int, 3>{});
  run(std::integral_constant<int, 4>{});
}

void run_plane(const QS8DwconvArgs& args, const Window& window, const Plane& plane) {
  const bool rolls = args.dilation_h == 1 && args.stride_h <= 2;
  if (window.wide) {
    one_by_one(args, plane);
  } else if (rolls && args.kernel_h == 3 && window.groups == 1) {
    run_strips<3, 1, 4>(args, window, plane);
  } else if (rolls && args.kernel_h == 5 && window.groups == 2) {
    run_strips<5, 2, 1>(args, window, plane);
  } else {
    for (std::int32_t x = 0; x < args.out_w; x += kQuadPixels) {
      const std::int32_t left = args.out_w - x;
      any_window_quad(args, window, plane, {x, left < kQuadPixels ? left : kQuadPixels});
    }
  }
}

}  // namespace

void qs8_dwconv_avx512vnni(const QS8DwconvArgs& args) noexcept {
  const Window window = window_of(args);
  for (std::int32_t plane = 0; plane < args.planes; ++plane) run_plane(args, window, plane_of(args, plane));
}

}  // namespace edgeml::kernels
