// SPDX-License-Identifier: Apache-2.0
// qs8_vadd_sse41: 16 elements a step. Contract: qs8_vadd.h.
#if !defined(__SSE4_1__)
#error "built without -msse4.1: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_vadd/qs8_vadd.h"
#include "kernels/requantize_sse41.h"
#include "kernels/widen_sse41.h"

namespace edgeml::kernels {
namespace {

constexpr int kStep = 16;

struct Operand {
  __m128i zero_point;
  __m128 multiplier;
};

template <int kJ>
inline __attribute__((always_inline)) __m128 scale(__m128i bytes, const Operand& operand) {
  return _mm_mul_ps(_mm_cvtepi32_ps(_mm_sub_epi32(widen_128<kJ>(bytes), operand.zero_point)), operand.multiplier);
}

struct Adder {
  Operand of_a, of_b;
  OutputRange128 range;

  template <int kJ>
  inline __attribute__((always_inline)) __m128i add(__m128i a, __m128i b) const {
    return round_f32_128(_mm_add_ps(scale<kJ>(a, of_a), scale<kJ>(b, of_b)), range);
  }
  inline __attribute__((always_inline)) void step(const act_t* a, const act_t* b, act_t* out) const {
    const __m128i va = _mm_loadu_si128(reinterpret_cast<const __m128i*>(a));
    const __m128i vb = _mm_loadu_si128(reinterpret_cast<const __m128i*>(b));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                     pack_128(add<0>(va, vb), add<1>(va, vb), add<2>(va, vb), add<3>(va, vb), range));
  }
};

}  // namespace

void qs8_vadd_sse41(const QS8VaddArgs& args) noexcept {
  const Adder adder{{_mm_set1_epi32(args.zero_point_a), _mm_set1_ps(args.multiplier_a)},
                    {_mm_set1_epi32(args.zero_point_b), _mm_set1_ps(args.multiplier_b)},
                    broadcast_range_128(args.range)};
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
