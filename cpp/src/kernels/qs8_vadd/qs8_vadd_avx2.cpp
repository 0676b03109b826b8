// SPDX-License-Identifier: Apache-2.0
// qs8_vadd_avx2: 32 elements a step. Contract: qs8_vadd.h. Sums are below 2^17, so nothing has to be clamped before the
// conversion to integers.
#if !defined(__AVX2__)
#error "built without -mavx2: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/qs8_vadd/qs8_vadd.h"
#include "kernels/requantize_avx2.h"
#include "kernels/widen_avx2.h"

namespace edgeml::kernels {
namespace {

constexpr int kStep = 32;

struct Operand {
  __m256i zero_point;
  __m256 multiplier;
};

template <int kJ>
inline __attribute__((always_inline)) __m256 scale(__m256i bytes, const Operand& operand) {
  return _mm256_mul_ps(_mm256_cvtepi32_ps(_mm256_sub_epi32(widen_256<kJ>(bytes), operand.zero_point)),
                       operand.multiplier);
}

struct Adder {
  Operand of_a, of_b;
  OutputRange256 range;

  template <int kJ>
  inline __attribute__((always_inline)) __m256i add(__m256i a, __m256i b) const {
    return _mm256_cvtps_epi32(_mm256_add_ps(scale<kJ>(a, of_a), scale<kJ>(b, of_b)));
  }
  inline __attribute__((always_inline)) void step(const act_t* a, const act_t* b, act_t* out) const {
    const __m256i va = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(a));
    const __m256i vb = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(b));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                        pack_256(add<0>(va, vb), add<1>(va, vb), add<2>(va, vb), add<3>(va, vb), range));
  }
};

}  // namespace

void qs8_vadd_avx2(const QS8VaddArgs& args) noexcept {
  const Adder adder{{_mm256_set1_epi32(args.zero_point_a), _mm256_set1_ps(args.multiplier_a)},
                    {_mm256_set1_epi32(args.zero_point_b), _mm256_set1_ps(args.multiplier_b)},
                    broadcast_range_256(args.range)};
  std::int64_t i = 0;
  for (; i + kStep <= args.n; i += kStep) adder.step(args.a + i, args.b + i, args.out + i);
  if (i == args.n) return;
  act_t a[kStep] = {};
  act_t b[kStep] = {};
  const auto left = static_cast<std::size_t>(args.n - i);
  __builtin_memcpy(a, args.a + i, left);
  __builtin_memcpy(b, args.b + i, left);
  adder.step(a, b, a);
  __builtin_memcpy(args.out + i, a, left);
}

}  // namespace edgeml::kernels
