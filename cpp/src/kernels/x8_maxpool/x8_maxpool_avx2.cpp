// SPDX-License-Identifier: Apache-2.0
// x8_maxpool_avx2: 8 output words at a time where all their taps are inside the plane and the stride is 1 or 2, else
// one. Contract: x8_maxpool.h.
#if !defined(__AVX2__)
#error "built without -mavx2: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/x8_maxpool/x8_maxpool.h"

namespace edgeml::kernels {
namespace {

constexpr std::int32_t kStep = 8;

// Taps k of a window that begins at `first`, those inside [0, size).
struct Taps {
  std::int32_t begin, end;
};

Taps clip(std::int32_t first, std::int32_t kernel, std::int32_t dilation, std::int32_t size) {
  Taps taps{0, kernel};
  while (first + taps.begin * dilation < 0) ++taps.begin;
  while (first + (taps.end - 1) * dilation >= size) --taps.end;
  return taps;
}

// One output word. Tap (ky, kx) stands at in + (origin + ky*row + kx*col); the origin alone may be outside the plane.
void pool_word(const act_t* in, std::int64_t origin, const Taps& rows, std::int64_t row, const Taps& cols,
               std::int64_t col, act_t* out) {
  __m128i best = _mm_setzero_si128();
  for (std::int32_t ky = rows.begin; ky < rows.end; ++ky) {
    for (std::int32_t kx = cols.begin; kx < cols.end; ++kx) {
      std::int32_t word;
      __builtin_memcpy(&word, in + (origin + ky * row + kx * col), 4);
      best = _mm_max_epu8(best, _mm_cvtsi32_si128(word));
    }
  }
  const std::int32_t word = _mm_cvtsi128_si32(best);
  __builtin_memcpy(out, &word, 4);
}

inline __attribute__((always_inline)) __m256i load(const act_t* words) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(words));
}

// Every stride-th word of those from `words` on, 8 of them, reading none after the last.
template <int kStride>
inline __attribute__((always_inline)) __m256i load_strided(const act_t* words) {
  if constexpr (kStride == 1) return load(words);
  const __m256 low = _mm256_castsi256_ps(load(words));
  const __m256 high = _mm256_castsi256_ps(load(words + 7 * 4));
  const __m256i mixed = _mm256_castps_si256(_mm256_shuffle_ps(low, high, _MM_SHUFFLE(3, 1, 2, 0)));
  return _mm256_permute4x64_epi64(mixed, _MM_SHUFFLE(3, 1, 2, 0));
}

// Output words [x, end) of one row, all of whose columns of taps are inside the plane; returns where it stopped.
template <int kStride>
std::int32_t pool_words(const act_t* in, std::int64_t origin, const Taps& rows, std::int64_t row, std::int32_t kernel_w,
                        std::int64_t col, std::int32_t x, std::int32_t end, act_t* out) {
  for (; x + kStep <= end; x += kStep) {
    __m256i best = _mm256_setzero_si256();
    for (std::int32_t ky = rows.begin; ky < rows.end; ++ky) {
      for (std::int32_t kx = 0; kx < kernel_w; ++kx) {
        const act_t* words = in + (origin + std::int64_t{x} * kStride * 4 + ky * row + kx * col);
        best = _mm256_max_epu8(best, load_strided<kStride>(words));
      }
    }
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + std::int64_t{x} * 4), best);
  }
  return x;
}

// The same for windows 3 wide at stride 2, whose columns overlap: rows are joined first, then every window takes 3
// neighbours of what they gave.
std::int32_t pool_words_3_by_2(const act_t* in, std::int64_t origin, const Taps& rows, std::int64_t row, std::int32_t x,
                               std::int32_t end, act_t* out) {
  const __m256i following = _mm256_setr_epi32(1, 2, 3, 4, 5, 6, 7, 7);
  for (; x + kStep <= end; x += kStep) {
    const act_t* words = in + (origin + std::int64_t{x} * 8);
    __m256i low = _mm256_setzero_si256();   // words 0..7
    __m256i high = _mm256_setzero_si256();  // words 8..15
    __m256i last = _mm256_setzero_si256();  // words 9..16
    for (std::int32_t ky = rows.begin; ky < rows.end; ++ky) {
      low = _mm256_max_epu8(low, load(words + ky * row));
      high = _mm256_max_epu8(high, load(words + ky * row + 8 * 4));
      last = _mm256_max_epu8(last, load(words + ky * row + 9 * 4));
    }
    const __m256 a = _mm256_castsi256_ps(low);
    const __m256 b = _mm256_castsi256_ps(high);
    const __m256i even = _mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(a, b, _MM_SHUFFLE(2, 0, 2, 0))),
                                                  _MM_SHUFFLE(3, 1, 2, 0));
    const __m256i odd = _mm256_permute4x64_epi64(_mm256_castps_si256(_mm256_shuffle_ps(a, b, _MM_SHUFFLE(3, 1, 3, 1))),
                                                 _MM_SHUFFLE(3, 1, 2, 0));
    const __m256i next = _mm256_blend_epi32(_mm256_permutevar8x32_epi32(even, following), last, 0x80);
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out + std::int64_t{x} * 4),
                        _mm256_max_epu8(even, _mm256_max_epu8(odd, next)));
  }
  return x;
}

}  // namespace

void x8_maxpool_avx2(const X8MaxpoolArgs& args) noexcept {
  const std::int64_t row_step = std::int64_t{args.dilation_h} * args.in_w * 4;
  const std::int64_t col_step = std::int64_t{args.dilation_w} * 4;
  const std::int32_t reach = (args.kernel_w - 1) * args.dilation_w;
  // Output columns whose taps are all inside: none of the first ones, and up to `inside_end`.
  const std::int32_t inside_begin = (args.pad_left + args.stride_w - 1) / args.stride_w;
  const std::int32_t last = args.in_w - 1 - reach + args.pad_left;
  const std::int32_t fits = last < 0 ? 0 : last / args.stride_w + 1;
  const std::int32_t inside_end = fits < args.out_w ? fits : args.out_w;
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    const std::int32_t first_row = y * args.stride_h - args.pad_top;
    const Taps rows = clip(first_row, args.kernel_h, args.dilation_h, args.in_h);
    // Of the window of output column 0.
    const std::int64_t origin = (std::int64_t{first_row} * args.in_w - args.pad_left) * 4;
    act_t* out = args.out + std::int64_t{y} * args.out_w * 4;
    for (std::int32_t x = 0; x < args.out_w;) {
      // The last words of a row are taken together with some that are done already.
      const std::int32_t from = x < inside_end - kStep ? x : inside_end - kStep;
      if (from >= inside_begin && x < inside_end && args.stride_w <= 2) {
        x = args.stride_w == 1
                ? pool_words<1>(args.in, origin, rows, row_step, args.kernel_w, col_step, from, inside_end, out)
            : args.kernel_w == 3 && args.dilation_w == 1
                ? pool_words_3_by_2(args.in, origin, rows, row_step, from, inside_end, out)
                : pool_words<2>(args.in, origin, rows, row_step, args.kernel_w, col_step, from, inside_end, out);
        continue;
      }
      const std::int32_t first_col = x * args.stride_w - args.pad_left;
      const Taps cols = clip(first_col, args.kernel_w, args.dilation_w, args.in_w);
      pool_word(args.in, origin + std::int64_t{x} * args.stride_w * 4, rows, row_step, cols, col_step,
                out + std::int64_t{x} * 4);
      ++x;
    }
  }
}

}  // namespace edgeml::kernels
