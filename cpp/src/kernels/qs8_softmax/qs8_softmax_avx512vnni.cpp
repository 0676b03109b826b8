// SPDX-License-Identifier: Apache-2.0
// qs8_softmax_avx512vnni: 16 pixels at a time, one 32-bit lane each. Contract: qs8_softmax.h.
//
// A share is floor(a / s) with the integers a = 256*e + floor(s/2) <= 2^32 + s/2 and s <= 2^24 * n. It is taken as
// floor((a + 1/2) (*) (1 (/) s)) in f64: (a + 1/2) / s is at least 1/(2s) away from every integer, and the two
// roundings move it by less than 2^-51 of its value, which is below 258. So the floor is right while s < 2^42, that is
// for n <= 2^18; longer rows go to the scalar code at the end, as do float outputs of one pixel.
#if !defined(__AVX512BW__) || !defined(__AVX512VBMI__) || !defined(__AVX512VNNI__)
#error "built without the flags of avx512vnni: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_softmax/qs8_softmax.h"
#include "kernels/qs8_softmax/qs8_softmax_row.h"

namespace edgeml::kernels {
namespace {

constexpr std::int64_t kPixels = 16;
constexpr std::int32_t kFlush = 128;  // channels whose entries of up to 2^24 fit into 32 bits
constexpr std::int32_t kChannelsMax = 1 << 18;

struct Rows {
  const QS8SoftmaxArgs& args;
  std::int64_t pixel;
  __mmask16 mask;

  inline __m512i words(std::int32_t c) const {
    return _mm512_maskz_loadu_epi32(mask, args.in + c / 4 * args.plane_step + pixel * 4);
  }
  inline std::int32_t present(std::int32_t c) const { return args.n - c < 4 ? args.n - c : 4; }
};

// One lane per pixel, all four bytes the largest channel.
inline __m512i maxima(const Rows& rows) {
  __m512i max = _mm512_setzero_si512();  // the least stored value
  for (std::int32_t c = 0; c < rows.args.n; c += 4) {
    const __m512i keep = _mm512_set1_epi32(static_cast<std::int32_t>(0xffffffffU >> (8 * (4 - rows.present(c)))));
    max = _mm512_max_epu8(max, _mm512_and_si512(rows.words(c), keep));
  }
  max = _mm512_max_epu8(max, _mm512_ror_epi32(max, 16));
  return _mm512_max_epu8(max, _mm512_ror_epi32(max, 8));
}

// Entries of channel c + j: table[max - byte j].
inline __m512i entries(const Rows& rows, __m512i distance, std::int32_t j) {
  const __m512i d = _mm512_and_si512(_mm512_srlv_epi32(distance, _mm512_set1_epi32(8 * j)), _mm512_set1_epi32(0xff));
  return _mm512_i32gather_epi32(d, rows.args.table, 4);
}

struct Sums {
  __m512i low, high;  // u64, pixels 0..7 and 8..15

  inline void add(__m512i sum_32) {
    low = _mm512_add_epi64(low, _mm512_cvtepu32_epi64(_mm512_castsi512_si256(sum_32)));
    high = _mm512_add_epi64(high, _mm512_cvtepu32_epi64(_mm512_extracti64x4_epi64(sum_32, 1)));
  }
};

inline Sums sums(const Rows& rows, __m512i max) {
  Sums total{_mm512_setzero_si512(), _mm512_setzero_si512()};
  for (std::int32_t begin = 0; begin < rows.args.n; begin += kFlush) {
    __m512i part = _mm512_setzero_si512();
    for (std::int32_t c = begin; c < rows.args.n && c < begin + kFlush; c += 4) {
      const __m512i distance = _mm512_subs_epu8(max, rows.words(c));
      for (std::int32_t j = 0; j < rows.present(c); ++j) part = _mm512_add_epi32(part, entries(rows, distance, j));
    }
    total.add(part);
  }
  return total;
}

// floor(256 * e + h), h = s/2 rounded down + 1/2, over s, for 8 pixels.
inline __m256i shares(__m256i e, __m512d half, __m512d inverse) {
  const __m512d a = _mm512_add_pd(_mm512_mul_pd(_mm512_cvtepu32_pd(e), _mm512_set1_pd(256.0)), half);
  return _mm512_cvttpd_epi32(_mm512_mul_pd(a, inverse));
}

void rows_to_s8(const Rows& rows, __m512i max, const Sums& total) {
  const __m512d one = _mm512_set1_pd(1.0);
  const __m512d inverse_low = _mm512_div_pd(one, _mm512_cvtepu64_pd(total.low));
  const __m512d inverse_high = _mm512_div_pd(one, _mm512_cvtepu64_pd(total.high));
  const __m512d point_5 = _mm512_set1_pd(0.5);
  const __m512d half_low = _mm512_add_pd(_mm512_cvtepu64_pd(_mm512_srli_epi64(total.low, 1)), point_5);
  const __m512d half_high = _mm512_add_pd(_mm512_cvtepu64_pd(_mm512_srli_epi64(total.high, 1)), point_5);
  for (std::int32_t c = 0; c < rows.args.n; c += 4) {
    const __m512i distance = _mm512_subs_epu8(max, rows.words(c));
    __m512i out = _mm512_setzero_si512();
    for (std::int32_t j = 0; j < rows.present(c); ++j) {
      const __m512i e = entries(rows, distance, j);
      const __m256i low = shares(_mm512_castsi512_si256(e), half_low, inverse_low);
      const __m256i high = shares(_mm512_extracti64x4_epi64(e, 1), half_high, inverse_high);
      const __m512i share =
          _mm512_min_epi32(_mm512_inserti64x4(_mm512_castsi256_si512(low), high, 1), _mm512_set1_epi32(255));
      out = _mm512_or_si512(out, _mm512_sllv_epi32(share, _mm512_set1_epi32(8 * j)));
    }
    _mm512_mask_storeu_epi32(rows.args.out_s8 + c / 4 * rows.args.plane_step + rows.pixel * 4, rows.mask, out);
  }
}

void rows_to_f32(const Rows& rows, __m512i max, const Sums& total) {
  const __m512d s_low = _mm512_cvtepu64_pd(total.low);
  const __m512d s_high = _mm512_cvtepu64_pd(total.high);
  for (std::int32_t c = 0; c < rows.args.n; c += 4) {
    const __m512i distance = _mm512_subs_epu8(max, rows.words(c));
    for (std::int32_t j = 0; j < rows.present(c); ++j) {
      const __m512i e = entries(rows, distance, j);
      const __m256 low = _mm512_cvtpd_ps(_mm512_div_pd(_mm512_cvtepu32_pd(_mm512_castsi512_si256(e)), s_low));
      const __m256 high = _mm512_cvtpd_ps(_mm512_div_pd(_mm512_cvtepu32_pd(_mm512_extracti64x4_epi64(e, 1)), s_high));
      _mm512_mask_storeu_ps(rows.args.out_f32 + (c + j) * rows.args.pixels + rows.pixel, rows.mask,
                            _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1));
    }
  }
}

}  // namespace

void qs8_softmax_avx512vnni(const QS8SoftmaxArgs& args) noexcept {
  if (args.pixels == 1 || args.n > kChannelsMax) {
    for (std::int64_t p = 0; p < args.pixels; ++p) qs8_softmax_row(args, p);
    return;
  }
  for (std::int64_t p = 0; p < args.pixels; p += kPixels) {
    const std::int64_t left = args.pixels - p;
    const Rows rows{args, p, static_cast<__mmask16>(left >= kPixels ? 0xffff : (1 << left) - 1)};
    const __m512i max = maxima(rows);
    const Sums total = sums(rows, max);
    if (args.out_f32 != nullptr) {
      rows_to_f32(rows, max, total);
    } else {
      rows_to_s8(rows, max, total);
    }
  }
}

}  // namespace edgeml::kernels
