// SPDX-License-Identifier: Apache-2.0
// qs8_avgpool_sse41: 4 words of a window's row a step. Contract: qs8_avgpool.h. A window over the whole plane is one
// row.
#if !defined(__SSE4_1__)
#error "built without -msse4.1: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_avgpool/qs8_avgpool.h"
#include "kernels/requantize_sse41.h"

namespace edgeml::kernels {
namespace {

// Sums of n words for each channel, added to acc.
inline __attribute__((always_inline)) __m128i add_words(__m128i acc, const act_t* words, std::int64_t n) {
  // Byte c of words 0 and 1, and of words 2 and 3, as u16 pairs for channel c.
  const __m128i first = _mm_setr_epi8(0, -1, 4, -1, 1, -1, 5, -1, 2, -1, 6, -1, 3, -1, 7, -1);
  const __m128i second = _mm_setr_epi8(8, -1, 12, -1, 9, -1, 13, -1, 10, -1, 14, -1, 11, -1, 15, -1);
  const __m128i ones = _mm_set1_epi16(1);
  std::int64_t i = 0;
  for (; i + 4 <= n; i += 4) {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(words + i * 4));
    const __m128i pairs = _mm_add_epi16(_mm_shuffle_epi8(x, first), _mm_shuffle_epi8(x, second));
    acc = _mm_add_epi32(acc, _mm_madd_epi16(pairs, ones));
  }
  for (; i < n; ++i) {
    std::int32_t word;
    __builtin_memcpy(&word, words + i * 4, 4);
    acc = _mm_add_epi32(acc, _mm_cvtepu8_epi32(_mm_cvtsi32_si128(word)));
  }
  return acc;
}

// The part of a window that is inside the plane, in one dimension.
struct Span {
  std::int32_t begin, end;
};

Span clip(std::int32_t begin, std::int32_t kernel, std::int32_t size) {
  const std::int32_t end = begin + kernel;
  return {begin < 0 ? 0 : begin, end > size ? size : end};
}

void pool(const QS8AvgpoolArgs& args, const OutputRange128& range, const Span& y, const Span& x, act_t* out) {
  const std::int64_t width = x.end - x.begin;
  const std::int64_t height = y.end - y.begin;
  const auto taps = static_cast<std::int32_t>(width * height);
  __m128i acc = _mm_set1_epi32(-taps * args.zero_point);
  if (width == args.in_w) {
    acc = add_words(acc, args.in + std::int64_t{y.begin} * args.in_w * 4, width * height);
  } else {
    for (std::int64_t row = y.begin; row < y.end; ++row) {
      acc = add_words(acc, args.in + (row * args.in_w + x.begin) * 4, width);
    }
  }
  const __m128i rounded = round_128(acc, _mm_set1_ps(args.multiplier[taps - 1]), range);
  const std::int32_t word = _mm_cvtsi128_si32(pack_128(rounded, rounded, rounded, rounded, range));
  __builtin_memcpy(out, &word, 4);
}

}  // namespace

void qs8_avgpool_sse41(const QS8AvgpoolArgs& args) noexcept {
  const OutputRange128 range = broadcast_range_128(args.range);
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    const Span rows = clip(y * args.stride_h - args.pad_top, args.kernel_h, args.in_h);
    for (std::int32_t x = 0; x < args.out_w; ++x) {
      const Span cols = clip(x * args.stride_w - args.pad_left, args.kernel_w, args.in_w);
      pool(args, range, rows, cols, args.out + (std::int64_t{y} * args.out_w + x) * 4);
    }
  }
}

}  // namespace edgeml::kernels
