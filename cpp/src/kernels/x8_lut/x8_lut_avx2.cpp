// SPDX-License-Identifier: Apache-2.0
// x8_lut_avx2: sixteen tables of 16 bytes, 32 look-ups a step. Contract: x8_lut.h.
#if !defined(__AVX2__)
#error "built without -mavx2: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/x8_lut/x8_lut.h"

namespace edgeml::kernels {
namespace {

constexpr int kStep = 32;

inline __attribute__((always_inline)) void step(const std::uint8_t* in, std::uint8_t* out, const std::uint8_t* table) {
  const __m256i x = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(in));
  const __m256i keep = _mm256_set1_epi8(0x70);
  __m256i result = _mm256_setzero_si256();
  for (int high = 0; high < 16; ++high) {
    const __m256i part =
        _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table + 16 * high)));
    // Below 0x80 only where the high nibble of x is this part's; elsewhere the shuffle gives zero.
    const __m256i index = _mm256_adds_epu8(_mm256_xor_si256(x, _mm256_set1_epi8(static_cast<char>(16 * high))), keep);
    result = _mm256_or_si256(result, _mm256_shuffle_epi8(part, index));
  }
  _mm256_storeu_si256(reinterpret_cast<__m256i*>(out), result);
}

}  // namespace

void x8_lut_avx2(const X8LutArgs& args) noexcept {
  std::int64_t i = 0;
  for (; i + kStep <= args.n; i += kStep) step(args.in + i, args.out + i, args.table);
  for (; i < args.n; ++i) args.out[i] = args.table[args.in[i]];
}

}  // namespace edgeml::kernels
