// SPDX-License-Identifier: Apache-2.0
// qs8_rescale_sse41: 16 elements a step. Contract: qs8_rescale.h.
#if !defined(__SSE4_1__)
#error "built without -msse4.1: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_rescale/qs8_rescale.h"
#include "kernels/requantize_sse41.h"
#include "kernels/widen_sse41.h"

namespace edgeml::kernels {
namespace {

constexpr int kStep = 16;

struct Rescaler {
  __m128i zero_point;
  __m128 multiplier;
  OutputRange128 range;

  template <int kJ>
  inline __attribute__((always_inline)) __m128i rescale(__m128i bytes) const {
    return round_128(_mm_sub_epi32(widen_128<kJ>(bytes), zero_point), multiplier, range);
  }
  inline __attribute__((always_inline)) void step(const act_t* in, act_t* out) const {
    const __m128i x = _mm_loadu_si128(reinterpret_cast<const __m128i*>(in));
    _mm_storeu_si128(reinterpret_cast<__m128i*>(out),
                     pack_128(rescale<0>(x), rescale<1>(x), rescale<2>(x), rescale<3>(x), range));
  }
};

}  // namespace

void qs8_rescale_sse41(const QS8RescaleArgs& args) noexcept {
  const Rescaler rescaler{_mm_set1_epi32(args.zero_point), _mm_set1_ps(args.multiplier),
                          broadcast_range_128(args.range)};
  std::int64_t i = 0;
  for (; i + kStep <= args.n; i += kStep) rescaler.step(args.in + i, args.out + i);
  if (i == args.n) return;
  act_t buffer[kStep] = {};
  const auto left = static_cast<std::size_t>(args.n - i);
  __builtin_memcpy(buffer, args.in + i, left);
  rescaler.step(buffer, buffer);
  __builtin_memcpy(args.out + i, buffer, left);
}

}  // namespace edgeml::kernels
