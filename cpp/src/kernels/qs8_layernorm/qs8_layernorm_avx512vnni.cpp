// SPDX-License-Identifier: Apache-2.0
// qs8_layernorm_avx512vnni: 16 pixels at a time, one 32-bit lane each. Contract: qs8_layernorm.h.
//
// First pass over the planes: dot products of each word with ones and with itself (as s16) give the sums. Second pass:
// a plane's 16 words become four vectors of floats; vector j holds pixels j, 4+j, 8+j, 12+j, four channels each
// (widen_avx512.h), so mean and r are spread out in that order once.
#if !defined(__AVX512BW__) || !defined(__AVX512VBMI__) || !defined(__AVX512VNNI__)
#error "built without the flags of avx512vnni: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_layernorm/qs8_layernorm.h"
#include "kernels/requantize_avx512.h"
#include "kernels/widen_avx512.h"

namespace edgeml::kernels {
namespace {

constexpr std::int64_t kPixels = 16;

struct Moments {
  __m512i sum, squares;  // of q - Z, one lane per pixel
};

// s1 and s2 of stored values u; then of q = u - Z: s1 - n*Z and s2 - 2*Z*s1 + n*Z^2, all inside int32.
inline Moments moments(const QS8LayernormArgs& args, std::int64_t p, __mmask16 pixels) {
  __m512i sum = _mm512_setzero_si512();
  __m512i squares = _mm512_setzero_si512();
  for (std::int32_t c = 0; c < args.channels; c += 4) {
    const std::int32_t present = args.channels - c < 4 ? args.channels - c : 4;
    const __m512i keep = _mm512_set1_epi32(static_cast<std::int32_t>(0xffffffffU >> (8 * (4 - present))));
    const __m512i words =
        _mm512_and_si512(keep, _mm512_maskz_loadu_epi32(pixels, args.in + c / 4 * args.plane_step + p * 4));
    sum = _mm512_dpbusd_epi32(sum, words, _mm512_set1_epi8(1));
    const __m512i even = _mm512_and_si512(words, _mm512_set1_epi16(0xff));
    const __m512i odd = _mm512_srli_epi16(words, 8);
    squares = _mm512_dpwssd_epi32(_mm512_dpwssd_epi32(squares, even, even), odd, odd);
  }
  const __m512i z = _mm512_set1_epi32(args.zero_point);
  const __m512i n_z = _mm512_set1_epi32(args.channels * args.zero_point);
  // s2 - Z*(2*s1 - n*Z)
  const __m512i inner = _mm512_sub_epi32(_mm512_add_epi32(sum, sum), n_z);
  return {_mm512_sub_epi32(sum, n_z), _mm512_sub_epi32(squares, _mm512_mullo_epi32(z, inner))};
}

struct Normalizer {
  __m512 mean, r;  // one lane per pixel
};

inline __m256 half_mean(__m256i sum, __m512d n) { return _mm512_cvtpd_ps(_mm512_div_pd(_mm512_cvtepi32_pd(sum), n)); }

inline __m256 half_r(__m256i sum, __m256i squares, std::int64_t n, double epsilon) {
  const __m512i s1 = _mm512_cvtepi32_epi64(sum);
  const __m512i s2 = _mm512_cvtepi32_epi64(squares);
  const __m512i spread = _mm512_sub_epi64(_mm512_mullo_epi64(s2, _mm512_set1_epi64(n)), _mm512_mullo_epi64(s1, s1));
  const __m512d variance = _mm512_div_pd(_mm512_cvtepi64_pd(spread), _mm512_set1_pd(static_cast<double>(n * n)));
  const __m512d root = _mm512_sqrt_pd(_mm512_add_pd(variance, _mm512_set1_pd(epsilon)));
  return _mm512_cvtpd_ps(_mm512_div_pd(_mm512_set1_pd(1.0), root));
}

inline __m512 join(__m256 low, __m256 high) { return _mm512_insertf32x8(_mm512_castps256_ps512(low), high, 1); }

inline Normalizer normalizer(const Moments& m, std::int64_t n, double epsilon) {
  const __m256i low_sum = _mm512_castsi512_si256(m.sum);
  const __m256i high_sum = _mm512_extracti64x4_epi64(m.sum, 1);
  const __m512d wide_n = _mm512_set1_pd(static_cast<double>(n));
  return {join(half_mean(low_sum, wide_n), half_mean(high_sum, wide_n)),
          join(half_r(low_sum, _mm512_castsi512_si256(m.squares), n, epsilon),
               half_r(high_sum, _mm512_extracti64x4_epi64(m.squares, 1), n, epsilon))};
}

// Lane j of each 128 bits, to all four lanes of it.
template <int kJ>
inline __attribute__((always_inline)) __m512 spread(__m512 per_pixel) {
  return _mm512_permute_ps(per_pixel, kJ * 0x55);
}

struct Writer {
  __m512i zero_point;
  __m512 lo, hi;
  OutputRange512 range;

  template <int kJ>
  inline __attribute__((always_inline)) __m512i normalize(__m512i words, const Normalizer& of, __m512 gain,
                                                          __m512 shift) const {
    const __m512 q = _mm512_cvtepi32_ps(_mm512_sub_epi32(widen_512<kJ>(words), zero_point));
    const __m512 scaled = _mm512_mul_ps(_mm512_mul_ps(_mm512_sub_ps(q, spread<kJ>(of.mean)), spread<kJ>(of.r)), gain);
    const __m512 p = _mm512_add_ps(scaled, shift);
    return _mm512_cvtps_epi32(_mm512_min_ps(_mm512_max_ps(p, lo), hi));
  }
};

}  // namespace

void qs8_layernorm_avx512vnni(const QS8LayernormArgs& args) noexcept {
  const Writer writer{_mm512_set1_epi32(args.zero_point), _mm512_set1_ps(args.range.lo), _mm512_set1_ps(args.range.hi),
                      broadcast_range_512(args.range)};
  for (std::int64_t p = 0; p < args.pixels; p += kPixels) {
    const std::int64_t left = args.pixels - p;
    const auto pixels = static_cast<__mmask16>(left >= kPixels ? 0xffff : (1 << left) - 1);
    const Normalizer of = normalizer(moments(args, p, pixels), args.channels, args.epsilon);
    for (std::int32_t c = 0; c < args.channels; c += 4) {
      const __m512 gain = _mm512_broadcast_f32x4(_mm_loadu_ps(args.gain + c));
      const __m512 shift = _mm512_broadcast_f32x4(_mm_loadu_ps(args.shift + c));
      const std::int64_t at = c / 4 * args.plane_step + p * 4;
      const __m512i words = _mm512_maskz_loadu_epi32(pixels, args.in + at);
      const __m512i packed = pack_512(
          writer.normalize<0>(words, of, gain, shift), writer.normalize<1>(words, of, gain, shift),
          writer.normalize<2>(words, of, gain, shift), writer.normalize<3>(words, of, gain, shift), writer.range);
      _mm512_mask_storeu_epi32(args.out + at, pixels, packed);
    }
  }
}

}  // namespace edgeml::kernels
