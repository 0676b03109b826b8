// SPDX-License-Identifier: Apache-2.0
// x8_maxpool_sse41: 4 output words at a time where all their taps are inside the plane and the stride is 1 or 2, else
// one. Contract: x8_maxpool.h.
#if !defined(__SSE4_1__)
#error "built without -msse4.1: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/x8_maxpool/x8_maxpool.h"

namespace edgeml::kernels {
namespace {

constexpr std::int32_t kStep = 4;

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

inline __attribute__((always_inline)) __m128i load(const act_t* words) {
  return _mm_loadu_si128(reinterpret_cast<const __m128i*>(words));
}

// Every stride-th word of those from `words` on, 4 of them, reading none after the last; one word for kStride 0.
template <int kStride>
inline __attribute__((always_inline)) __m128i load_strided(const act_t* words) {
  if constexpr (kStride == 1) return load(words);
  if constexpr (kStride == 2) {
    return _mm_castps_si128(
        _mm_shuffle_ps(_mm_castsi128_ps(load(words)), _mm_castsi128_ps(load(words + 3 * 4)), _MM_SHUFFLE(3, 1, 2, 0)));
  }
  std::int32_t word;
  __builtin_memcpy(&word, words, 4);
  return _mm_cvtsi32_si128(word);
}

// The maximum over the window at `origin`, or over those of 4 neighbours.
template <int kStride>
__m128i max_window(const X8MaxpoolArgs& args, std::int64_t origin, const Taps& rows, const Taps& cols) {
  __m128i best = _mm_setzero_si128();
  for (std::int32_t ky = rows.begin; ky < rows.end; ++ky) {
    for (std::int32_t kx = cols.begin; kx < cols.end; ++kx) {
      const std::int64_t word = std::int64_t{ky} * args.dilation_h * args.in_w + std::int64_t{kx} * args.dilation_w;
      best = _mm_max_epu8(best, load_strided<kStride>(args.in + (origin + word) * 4));
    }
  }
  return best;
}

}  // namespace

void x8_maxpool_sse41(const X8MaxpoolArgs& args) noexcept {
  const std::int32_t reach = (args.kernel_w - 1) * args.dilation_w;
  const Taps all_columns{0, args.kernel_w};
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    const std::int32_t first_row = y * args.stride_h - args.pad_top;
    const Taps rows = clip(first_row, args.kernel_h, args.dilation_h, args.in_h);
    act_t* out = args.out + std::int64_t{y} * args.out_w * 4;
    for (std::int32_t x = 0; x < args.out_w;) {
      const std::int32_t first = x * args.stride_w - args.pad_left;
      const std::int64_t origin = std::int64_t{first_row} * args.in_w + first;
      const bool inside = first >= 0 && first + (kStep - 1) * args.stride_w + reach < args.in_w;
      if (inside && args.stride_w <= 2 && x + kStep <= args.out_w) {
        const __m128i best = args.stride_w == 1 ? max_window<1>(args, origin, rows, all_columns)
                                                : max_window<2>(args, origin, rows, all_columns);
        _mm_storeu_si128(reinterpret_cast<__m128i*>(out + std::int64_t{x} * 4), best);
        x += kStep;
        continue;
      }
      const Taps cols = clip(first, args.kernel_w, args.dilation_w, args.in_w);
      const std::int32_t word = _mm_cvtsi128_si32(max_window<0>(args, origin, rows, cols));
      __builtin_memcpy(out + std::int64_t{x} * 4, &word, 4);
      ++x;
    }
  }
}

}  // namespace edgeml::kernels
