// SPDX-License-Identifier: Apache-2.0
// What the qs8_spmm kernels with vectors of 8 pixels do behind their sums: round, turn four channels into words, store.
// Static inline for the reason given in requantize.h.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_spmm/qs8_spmm.h"
#include "kernels/requantize_avx2.h"

namespace edgeml::kernels {

struct SpmmStore256 {
  OutputRange256 range;
  __m256i by_pixel;        // byte shuffle: 4 pixels of each channel -> 4 words
  std::int64_t out_limit;  // with strips: behind the last output of the call
};

__attribute__((always_inline)) static inline SpmmStore256 spmm_store_256(const QS8SpmmArgs& args) {
  const __m128i by_pixel = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  SpmmStore256 store{broadcast_range_256(args.range), _mm256_broadcastsi128_si256(by_pixel), 0};
  if (args.strips != nullptr) {
    const QS8SpmmStrip last = args.strips[(args.pixel_end - 1) / kSpmmStripPixels];
    store.out_limit = std::int64_t{last.first_out} + __builtin_popcount(last.outputs);
  }
  return store;
}

// A sum, rounded but without zero point. The multiplier is below 1 where `fast`.
__attribute__((always_inline)) static inline __m256i spmm_round_256(const QS8SpmmArgs& args, bool fast, __m256i acc,
                                                                    __m256 multiplier) {
  if (fast) [[likely]]
    return round_256(acc, multiplier);
  const __m256 p = _mm256_mul_ps(_mm256_cvtepi32_ps(acc), multiplier);
  return _mm256_cvtps_epi32(
      _mm256_min_ps(_mm256_max_ps(p, _mm256_set1_ps(args.range.lo)), _mm256_set1_ps(args.range.hi)));
}

// By a mask of 8 words: the places of those that are in it, in order.
struct SpmmOrder256 {
  std::uint8_t places[256][8];
  constexpr SpmmOrder256() : places() {
    for (unsigned mask = 0; mask < 256; ++mask) {
      int count = 0;
      for (unsigned i = 0; i < 8; ++i) {
        if ((mask >> i & 1U) != 0) places[mask][count++] = static_cast<std::uint8_t>(i);
      }
    }
  }
};
static constexpr SpmmOrder256 kSpmmOrder256;

// The outputs among 8 words go side by side. Behind them other outputs of the call follow, which are stored later, so
// that a whole vector may be written except at the call's end.
__attribute__((always_inline)) static inline void spmm_store_strip_256(const QS8SpmmArgs& args, __m256i words,
                                                                       std::int32_t pixel, std::int64_t out_limit,
                                                                       act_t* plane) {
  const QS8SpmmStrip strip = args.strips[pixel / kSpmmStripPixels];
  const std::int32_t first = pixel % kSpmmStripPixels;
  const std::uint32_t outputs = strip.outputs >> first & 0xffU;
  const std::int64_t place = strip.first_out + __builtin_popcount(strip.outputs & ((1U << first) - 1));
  const auto* order = reinterpret_cast<const __m128i*>(kSpmmOrder256.places[outputs]);
  const __m256i packed = _mm256_permutevar8x32_epi32(words, _mm256_cvtepu8_epi32(_mm_loadl_epi64(order)));
  if (place + 8 <= out_limit) [[likely]] {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(plane + place * 4), packed);
    return;
  }
  alignas(32) act_t bytes[32];
  _mm256_store_si256(reinterpret_cast<__m256i*>(bytes), packed);
  for (std::int32_t i = 0; i < __builtin_popcount(outputs); ++i) {
    __builtin_memcpy(plane + (place + i) * 4, bytes + i * 4, 4);
  }
}

// r01, r23: channels 0 and 1, 2 and 3 of 8 pixels, rounded and packed to s16 by _mm256_packs_epi32.
__attribute__((always_inline)) static inline void spmm_finish_256(const QS8SpmmArgs& args, const SpmmStore256& store,
                                                                  __m256i r01, __m256i r23, std::int32_t pixel,
                                                                  act_t* plane) {
  __m256i packed = _mm256_packus_epi16(_mm256_adds_epi16(r01, store.range.zero_point),
                                       _mm256_adds_epi16(r23, store.range.zero_point));
  packed = _mm256_min_epu8(_mm256_max_epu8(packed, store.range.lo), store.range.hi);
  const __m256i words = _mm256_shuffle_epi8(packed, store.by_pixel);
  if (args.strips == nullptr) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(plane + std::int64_t{pixel} * 4), words);
  } else {
    spmm_store_strip_256(args, words, pixel, store.out_limit, plane);
  }
}

}  // namespace edgeml::kernels
