// SPDX-License-Identifier: Apache-2.0
// qs8_avgpool_avx512vnni: 16 words of a window's row a step. Contract: qs8_avgpool.h. A window over the whole plane is
// one row.
#if !defined(__AVX512BW__) || !defined(__AVX512VBMI__) || !defined(__AVX512VNNI__)
#error "built without the flags of avx512vnni: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_avgpool/qs8_avgpool.h"

namespace edgeml::kernels {
namespace {

// Sums of n words for each channel, in every 128-bit lane a part, added to acc.
inline __attribute__((always_inline)) __m512i add_words(__m512i acc, const act_t* words, std::int64_t n) {
  // Byte c of 4 words side by side, so that a dot product with ones adds them.
  const __m512i by_channel =
      _mm512_broadcast_i32x4(_mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15));
  const __m512i ones = _mm512_set1_epi8(1);
  for (std::int64_t i = 0; i < n; i += 16) {
    const __mmask16 mask = static_cast<__mmask16>(n - i >= 16 ? 0xffffU : (1U << (n - i)) - 1U);
    const __m512i x = _mm512_maskz_loadu_epi32(mask, words + i * 4);
    acc = _mm512_dpbusd_epi32(acc, _mm512_shuffle_epi8(x, by_channel), ones);
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

void pool(const QS8AvgpoolArgs& args, const Span& y, const Span& x, act_t* out) {
  const std::int64_t width = x.end - x.begin;
  const std::int64_t height = y.end - y.begin;
  __m512i acc = _mm512_setzero_si512();
  if (width == args.in_w) {
    acc = add_words(acc, args.in + std::int64_t{y.begin} * args.in_w * 4, width * height);
  } else {
    for (std::int64_t row = y.begin; row < y.end; ++row) {
      acc = add_words(acc, args.in + (row * args.in_w + x.begin) * 4, width);
    }
  }
  const __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(acc), _mm512_extracti64x4_epi64(acc, 1));
  const __m128i quarter = _mm_add_epi32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
  alignas(16) std::int32_t sums[4];
  _mm_store_si128(reinterpret_cast<__m128i*>(sums), quarter);
  const auto taps = static_cast<std::int32_t>(width * height);
  for (int c = 0; c < 4; ++c) {
    out[c] = requantize(sums[c] - taps * args.zero_point, args.multiplier[taps - 1], args.range);
  }
}

}  // namespace

void qs8_avgpool_avx512vnni(const QS8AvgpoolArgs& args) noexcept {
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    const Span rows = clip(y * args.stride_h - args.pad_top, args.kernel_h, args.in_h);
    for (std::int32_t x = 0; x < args.out_w; ++x) {
      const Span cols = clip(x * args.stride_w - args.pad_left, args.kernel_w, args.in_w);
      pool(args, rows, cols, args.out + (std::int64_t{y} * args.out_w + x) * 4);
    }
  }
}

}  // namespace edgeml::kernels
