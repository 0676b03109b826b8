// SPDX-License-Identifier: Apache-2.0
// qs8_vmul_avx2: 32 elements a step. Contract: qs8_vmul.h. Products are below 2^16 and multipliers below 2^8, so
// nothing has to be clamped before the conversion to integers.
#if !defined(__AVX2__)
#error "built without -mavx2: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_vmul/qs8_vmul.h"
#include "kernels/requantize_avx2.h"
#include "kernels/widen_avx2.h"

namespace edgeml::kernels {
namespace {

constexpr int kStep = 32;

struct Multiplier {
  __m256i zero_point_a, zero_point_b;
  __m256 multiplier;
  OutputRange256 range;

  template <int kJ>
  inline __attribute__((always_inline)) __m256i product(__m256i a, __m256i b) const {
    const __m256i wide_a = _mm256_sub_epi32(widen_256<kJ>(a), zero_point_a);
    const __m256i wide_b = _mm256_sub_epi32(widen_256<kJ>(b), zero_point_b);
    return round_256(_mm256_mullo_epi32(wide_a, wide_b), multiplier);
  }
  inline __attribute__((always_inline)) void step(const act_t* a, __m256i vb, act_t* out) const {
    const __m256i va = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), pack_256(product<0>(va, vb), product<1>(va, vb),
                                                                  product<2>(va, vb), product<3>(va, vb), range));
  }
};

}  // namespace

void qs8_vmul_avx2(const QS8VmulArgs& args) noexcept {
  const Multiplier m{_mm256_set1_epi32(args.zero_point_a), _mm256_set1_epi32(args.zero_point_b),
                     _mm256_set1_ps(args.multiplier), broadcast_range_256(args.range)};
  std::int32_t word = 0;
  if (args.b_is_word) __builtin_memcpy(&word, args.b, sizeof(word));
  const __m256i words = _mm256_set1_epi32(word);
  std::int64_t i = 0;
  for (; i + kStep <= args.n; i += kStep) {
    const __m256i b = args.b_is_word ? words : _mm256_loadu_si256(reinterpret_cast<const __m256i*>(args.b + i));
    m.step(args.a + i, b, args.out + i);
  }
  if (i == args.n) return;
  alignas(32) act_t a[kStep] = {};
  alignas(32) act_t b[kStep] = {};
  const auto left = static_cast<std::size_t>(args.n - i);
  __builtin_memcpy(a, args.a + i, left);
  if (!args.b_is_word) __builtin_memcpy(b, args.b + i, left);
  m.step(a, args.b_is_word ? words : _mm256_load_si256(reinterpret_cast<const __m256i*>(b)), a);
  __builtin_memcpy(args.out + i, a, left);
}

}  // namespace edgeml::kernels
