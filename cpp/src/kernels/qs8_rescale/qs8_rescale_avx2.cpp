// SPDX-License-Identifier: Apache-2.0
// qs8_rescale_avx2: 32 elements a step. Contract: qs8_rescale.h. Products are below 2^16, so nothing has to be clamped
// before the conversion to integers.
#if !defined(__AVX2__)
#error "built without -mavx2: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/qs8_rescale/qs8_rescale.h"
#include "kernels/requantize_avx2.h"
#include "kernels/widen_avx2.h"

namespace edgeml::kernels {
namespace {

constexpr int kStep = 32;

struct Rescaler {
  __m256i zero_point;
  __m256 multiplier;
  OutputRange256 range;

  template <int kJ>
  inline __attribute__((always_inline)) __m256i rescale(__m256i bytes) const {
    return round_256(_mm256_sub_epi32(widen_256<kJ>(bytes), zero_point), multiplier);
  }
  inline __attribute__((always_inline)) void step(const act_t* in, act_t* out) const {
    const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(out),
                        pack_256(rescale<0>(x), rescale<1>(x), rescale<2>(x), rescale<3>(x), range));
  }
};

}  // namespace

void qs8_rescale_avx2(const QS8RescaleArgs& args) noexcept {
  const Rescaler rescaler{_mm256_set1_epi32(args.zero_point), _mm256_set1_ps(args.multiplier),
                          broadcast_range_256(args.range)};
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
