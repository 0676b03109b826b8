// SPDX-License-Identifier: Apache-2.0
// f32_edge_counts_avx512vnni: a block of values becomes keys in the first cache, then four edges at a time meet 16 keys
// in each step. Contract: f32_edge_counts.h.
#if !defined(__AVX512F__) || !defined(__AVX512VNNI__)
#error "built without the flags of avx512vnni: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/f32_edge_counts/f32_edge_counts.h"

namespace edgeml::kernels {
namespace {

constexpr int kLanes = 16;
constexpr std::int64_t kBlock = 2048;  // values
constexpr int kEdges = 4;              // of a pass: their keys and counts stay in registers

// Keys of up to 16 values; those of NaN and of lanes beyond the end are below every edge.
inline __attribute__((always_inline)) __m512i keys_of(__m512i bits, __mmask16 lanes, std::int64_t* nans) {
  const __m512i magnitude = _mm512_and_si512(bits, _mm512_set1_epi32(0x7fffffff));
  const __mmask16 is_nan = _mm512_mask_cmpgt_epi32_mask(lanes, magnitude, _mm512_set1_epi32(0x7f800000));
  *nans += __builtin_popcount(is_nan);
  const __m512i flip = _mm512_and_si512(_mm512_srai_epi32(bits, 31), _mm512_set1_epi32(0x7fffffff));
  __m512i key = _mm512_xor_si512(bits, flip);
  const __mmask16 is_minus_zero = _mm512_cmpeq_epi32_mask(key, _mm512_set1_epi32(-1));
  key = _mm512_mask_mov_epi32(key, is_minus_zero, _mm512_setzero_si512());
  const __mmask16 counts = static_cast<__mmask16>(lanes & ~is_nan);
  return _mm512_mask_mov_epi32(_mm512_set1_epi32(INT32_MIN), counts, key);
}

}  // namespace

void f32_edge_counts_avx512vnni(const F32EdgeCountsArgs& args) noexcept {
  alignas(64) std::int32_t keys[kBlock];
  for (std::int64_t begin = 0; begin < args.n; begin += kBlock) {
    const std::int64_t block = args.n - begin < kBlock ? args.n - begin : kBlock;
    std::int64_t filled = 0;
    for (; filled < block; filled += kLanes) {
      const std::int64_t left = block - filled;
      const auto lanes = static_cast<__mmask16>(left >= kLanes ? 0xffff : (1 << left) - 1);
      const __m512i bits = _mm512_maskz_loadu_epi32(lanes, args.values + begin + filled);
      _mm512_store_si512(keys + filled, keys_of(bits, lanes, args.nans));
    }
    const __m512i one = _mm512_set1_epi32(1);
    for (std::int64_t e = 0; e < args.edge_count; e += kEdges) {
      __m512i edges[kEdges];
      __m512i counts[kEdges];
      for (int k = 0; k < kEdges; ++k) {
        edges[k] = _mm512_set1_epi32(args.edges[e + k]);
        counts[k] = _mm512_setzero_si512();
      }
      for (std::int64_t i = 0; i < filled; i += kLanes) {
        const __m512i key = _mm512_load_si512(keys + i);
        for (int k = 0; k < kEdges; ++k) {
          counts[k] = _mm512_mask_add_epi32(counts[k], _mm512_cmpge_epi32_mask(key, edges[k]), counts[k], one);
        }
      }
      for (int k = 0; k < kEdges; ++k) args.at_least[e + k] += _mm512_reduce_add_epi32(counts[k]);
    }
  }
}

}  // namespace edgeml::kernels
