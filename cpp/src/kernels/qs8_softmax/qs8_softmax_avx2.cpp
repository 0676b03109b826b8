// SPDX-License-Identifier: Apache-2.0
// qs8_softmax_avx2: 8 elements a step, look-ups by gather, quotients in f64. Contract: qs8_softmax.h.
//
// A quotient of integers that is no integer is at least 1/s away from one. While s < 2^44 the rounding of a quotient
// below 257 is smaller than that, so cutting off its fraction gives the floor of the exact one.
#if !defined(__AVX2__)
#error "built without -mavx2: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_softmax/qs8_softmax.h"
#include "kernels/qs8_softmax/qs8_softmax_row.h"

namespace edgeml::kernels {
namespace {

constexpr std::int32_t kStep = 8;
constexpr std::uint64_t kSumMax = std::uint64_t{1} << 44;

#define EDGEML_INLINE inline __attribute__((always_inline))

act_t max_of(const act_t* in, std::int32_t n) {
  act_t max = in[0];
  std::int32_t i = 0;
  if (n >= 16) {
    __m128i best = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
    for (i = 16; i + 16 <= n; i += 16) {
      best = _mm_max_epu8(best, _mm_loadu_si128(reinterpret_cast<const __m128i*>(in + i)));
    }
    act_t bytes[16];
    _mm_storeu_si128(reinterpret_cast<__m128i*>(bytes), best);
    for (const act_t byte : bytes) max = byte > max ? byte : max;
  }
  for (; i < n; ++i) max = in[i] > max ? in[i] : max;
  return max;
}

// table[max - in[0..7]].
EDGEML_INLINE __m256i look_up(const std::uint32_t* table, __m256i max, const act_t* in) {
  const __m256i x = _mm256_cvtepu8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(in)));
  return _mm256_i32gather_epi32(reinterpret_cast<const int*>(table), _mm256_sub_epi32(max, x), 4);
}

// u32 -> f64, exact: the bits of 2^52 + e, less 2^52.
EDGEML_INLINE __m256d to_f64(__m128i e) {
  const __m256i bits = _mm256_or_si256(_mm256_cvtepu32_epi64(e), _mm256_set1_epi64x(0x4330000000000000));
  return _mm256_sub_pd(_mm256_castsi256_pd(bits), _mm256_set1_pd(0x1p52));
}

// floor((256*e + half) / sum).
EDGEML_INLINE __m128i shares(__m256d e, __m256d half, __m256d sum) {
  return _mm256_cvttpd_epi32(_mm256_div_pd(_mm256_add_pd(_mm256_mul_pd(e, _mm256_set1_pd(256.0)), half), sum));
}

}  // namespace

void qs8_softmax_avx2(const QS8SoftmaxArgs& args) noexcept {
  if (args.pixels != 1 || args.plane_step != 4) {  // channels of a pixel are not side by side
    for (std::int64_t p = 0; p < args.pixels; ++p) qs8_softmax_row(args, p);
    return;
  }
  const act_t max = max_of(args.in, args.n);
  const __m256i max8 = _mm256_set1_epi32(max);
  __m256i sum4 = _mm256_setzero_si256();
  std::int32_t i = 0;
  for (; i + kStep <= args.n; i += kStep) {
    const __m256i e = look_up(args.table, max8, args.in + i);
    const __m256i even = _mm256_and_si256(e, _mm256_set1_epi64x(0xffffffff));
    sum4 = _mm256_add_epi64(sum4, _mm256_add_epi64(even, _mm256_srli_epi64(e, 32)));
  }
  std::uint64_t parts[4];
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(parts), sum4);
  std::uint64_t sum = parts[0] + parts[1] + parts[2] + parts[3];
  for (; i < args.n; ++i) sum += args.table[max - args.in[i]];

  const __m256d divisor = _mm256_set1_pd(static_cast<double>(sum));
  const std::uint64_t floor_half = sum / 2;
  const __m256d half = _mm256_set1_pd(static_cast<double>(floor_half));
  i = 0;
  for (; sum < kSumMax && i + kStep <= args.n; i += kStep) {
    const __m256i e = look_up(args.table, max8, args.in + i);
    const __m256d low = to_f64(_mm256_castsi256_si128(e));
    const __m256d high = to_f64(_mm256_extracti128_si256(e, 1));
    if (args.out_s8 != nullptr) {
      const __m128i words = _mm_packs_epi32(shares(low, half, divisor), shares(high, half, divisor));
      _mm_storel_epi64(reinterpret_cast<__m128i*>(args.out_s8 + i), _mm_packus_epi16(words, words));
    }
    if (args.out_f32 != nullptr) {
      _mm_storeu_ps(args.out_f32 + i, _mm256_cvtpd_ps(_mm256_div_pd(low, divisor)));
      _mm_storeu_ps(args.out_f32 + i + 4, _mm256_cvtpd_ps(_mm256_div_pd(high, divisor)));
    }
  }
  for (; i < args.n; ++i) {
    const std::uint64_t e = args.table[max - args.in[i]];
    if (args.out_s8 != nullptr) {
      const std::uint64_t share = (256 * e + sum / 2) / sum;
      args.out_s8[i] = static_cast<act_t>(share < 255 ? share : 255);
    }
    if (args.out_f32 != nullptr) {
      args.out_f32[i] = static_cast<float>(static_cast<double>(e) / static_cast<double>(sum));
    }
  }
}

}  // namespace edgeml::kernels
