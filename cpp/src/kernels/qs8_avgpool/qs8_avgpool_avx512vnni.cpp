// SPDX-License-Identifier: Apache-2.0
// qs8_avgpool_avx512vnni: 16 words of a window's row a step, or 16 windows at a time where they are small and their
// columns inside the plane. Contract: qs8_avgpool.h. A window over the whole plane is one row.
#if !defined(__AVX512BW__) || !defined(__AVX512VBMI__) || !defined(__AVX512VNNI__)
#error "built without the flags of avx512vnni: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_avgpool/qs8_avgpool.h"
#include "kernels/requantize_avx512.h"

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

constexpr std::int32_t kStepWindows = 16;
constexpr std::int64_t kSmallTapsMax = 257;  // 257 * 255 fits 16 bits

// The first `count` <= 16 words of stride 1 or 2 from `words` on; reads none after the last.
inline __attribute__((always_inline)) __m512i load_strided(const act_t* words, std::int32_t stride,
                                                           std::int32_t count) {
  const std::uint32_t present =
      stride == 1 ? (1U << count) - 1U : static_cast<std::uint32_t>((1ULL << (2 * count - 1)) - 1U);
  const __m512i low = _mm512_maskz_loadu_epi32(static_cast<__mmask16>(present & 0xffffU), words);
  if (stride == 1) return low;
  const __m512i high = _mm512_maskz_loadu_epi32(static_cast<__mmask16>(present >> 16), words + 16 * 4);
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  return _mm512_permutex2var_epi32(low, even, high);
}

// Windows x .. x + count - 1 of one row, count <= 16, whose columns are all inside the plane; sums of two channels
// stand in the halves of a 32-bit lane.
void pool_windows(const QS8AvgpoolArgs& args, const Span& rows, std::int32_t x, std::int32_t count, act_t* out) {
  const __m512i low_bytes = _mm512_set1_epi32(0x00ff00ff);
  __m512i even = _mm512_setzero_si512();
  __m512i odd = _mm512_setzero_si512();
  for (std::int64_t row = rows.begin; row < rows.end; ++row) {
    const act_t* words = args.in + (row * args.in_w + std::int64_t{x} * args.stride_w - args.pad_left) * 4;
    for (std::int32_t kx = 0; kx < args.kernel_w; ++kx) {
      const __m512i v = load_strided(words + std::int64_t{kx} * 4, args.stride_w, count);
      even = _mm512_add_epi16(even, _mm512_and_si512(v, low_bytes));
      odd = _mm512_add_epi16(odd, _mm512_srli_epi16(v, 8));
    }
  }
  const std::int32_t taps = (rows.end - rows.begin) * args.kernel_w;
  const __m512i zeros = _mm512_set1_epi32(taps * args.zero_point);
  const __m512 multiplier = _mm512_set1_ps(args.multiplier[taps - 1]);
  const __m512i zero_point = _mm512_set1_epi32(args.range.zero_point);
  const auto result = [&](__m512i sums) {
    return _mm512_add_epi32(round_clamped_512(_mm512_sub_epi32(sums, zeros), multiplier, args.range), zero_point);
  };
  const __m512i half = _mm512_set1_epi32(0xffff);
  const __m512i c0 = result(_mm512_and_si512(even, half));
  const __m512i c1 = result(_mm512_and_si512(odd, half));
  const __m512i c2 = result(_mm512_srli_epi32(even, 16));
  const __m512i c3 = result(_mm512_srli_epi32(odd, 16));
  const __m512i c01 = _mm512_or_si512(c0, _mm512_slli_epi32(c1, 8));
  const __m512i c23 = _mm512_or_si512(_mm512_slli_epi32(c2, 16), _mm512_slli_epi32(c3, 24));
  _mm512_mask_storeu_epi32(out, static_cast<__mmask16>((1U << count) - 1U), _mm512_or_si512(c01, c23));
}

}  // namespace

void qs8_avgpool_avx512vnni(const QS8AvgpoolArgs& args) noexcept {
  const bool small = std::int64_t{args.kernel_h} * args.kernel_w <= kSmallTapsMax && args.stride_w <= 2;
  // Windows whose columns are all inside: none of the first ones, and up to `inside_end`.
  const std::int32_t inside_begin = (args.pad_left + args.stride_w - 1) / args.stride_w;
  const std::int32_t last = args.in_w - args.kernel_w + args.pad_left;
  const std::int32_t fits = last < 0 ? 0 : last / args.stride_w + 1;
  const std::int32_t inside_end = !small ? 0 : fits < args.out_w ? fits : args.out_w;
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    const Span rows = clip(y * args.stride_h - args.pad_top, args.kernel_h, args.in_h);
    for (std::int32_t x = 0; x < args.out_w; ++x) {
      while (x >= inside_begin && inside_end - x > 1) {
        const std::int32_t count = inside_end - x < kStepWindows ? inside_end - x : kStepWindows;
        pool_windows(args, rows, x, count, args.out + (std::int64_t{y} * args.out_w + x) * 4);
        x += count;
      }
      if (x == args.out_w) break;
      const Span cols = clip(x * args.stride_w - args.pad_left, args.kernel_w, args.in_w);
      pool(args, rows, cols, args.out + (std::int64_t{y} * args.out_w + x) * 4);
    }
  }
}

}  // namespace edgeml::kernels
