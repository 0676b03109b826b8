// SPDX-License-Identifier: Apache-2.0
// f32_edge_counts_avx2: a block of values becomes keys in the first cache, then four edges at a time meet 8 keys in
// each step. Contract: f32_edge_counts.h.
#if !defined(__AVX2__)
#error "built without -mavx2: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/f32_edge_counts/f32_edge_counts.h"

namespace edgeml::kernels {
namespace {

constexpr int kLanes = 8;
constexpr std::int64_t kBlock = 2048;  // values
constexpr int kEdges = 4;              // of a pass: their keys and counts stay in registers

// Keys of 8 values; that of NaN is below every edge.
inline __attribute__((always_inline)) __m256i keys_of(__m256i bits, std::int64_t* nans) {
  const __m256i low_bits = _mm256_set1_epi32(0x7fffffff);
  const __m256i is_nan = _mm256_cmpgt_epi32(_mm256_and_si256(bits, low_bits), _mm256_set1_epi32(0x7f800000));
  *nans += __builtin_popcount(static_cast<unsigned>(_mm256_movemask_ps(_mm256_castsi256_ps(is_nan))));
  const __m256i key = _mm256_xor_si256(bits, _mm256_and_si256(_mm256_srai_epi32(bits, 31), low_bits));
  const __m256i is_minus_zero = _mm256_cmpeq_epi32(key, _mm256_set1_epi32(-1));
  return _mm256_blendv_epi8(_mm256_andnot_si256(is_minus_zero, key), _mm256_set1_epi32(INT32_MIN), is_nan);
}

inline __attribute__((always_inline)) std::int64_t sum(__m256i x) {
  alignas(32) std::int32_t lanes[kLanes];
  _mm256_store_si256(reinterpret_cast<__m256i*>(lanes), x);
  std::int64_t total = 0;
  for (const std::int32_t lane : lanes) total += lane;
  return total;
}

}  // namespace

void f32_edge_counts_avx2(const F32EdgeCountsArgs& args) noexcept {
  alignas(32) std::int32_t keys[kBlock];
  for (std::int64_t begin = 0; begin < args.n; begin += kBlock) {
    const std::int64_t block = args.n - begin < kBlock ? args.n - begin : kBlock;
    std::int64_t filled = 0;
    for (; filled < block; filled += kLanes) {
      const std::int64_t left = block - filled;
      const float* at = args.values + begin + filled;
      __m256i keys_here;
      if (left >= kLanes) {
        keys_here = keys_of(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(at)), args.nans);
      } else {
        const __m256i place = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        const __m256i lanes = _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<std::int32_t>(left)), place);
        alignas(32) float tail[kLanes] = {};  // a copy: an emulated CPU reads a masked load whole
        std::memcpy(tail, at, static_cast<std::size_t>(left) * sizeof(float));
        const __m256i bits = _mm256_load_si256(reinterpret_cast<const __m256i*>(tail));
        keys_here = _mm256_blendv_epi8(_mm256_set1_epi32(INT32_MIN), keys_of(bits, args.nans), lanes);
      }
      _mm256_store_si256(reinterpret_cast<__m256i*>(keys + filled), keys_here);
    }
    for (std::int64_t e = 0; e < args.edge_count; e += kEdges) {
      __m256i below[kEdges];  // the largest key below the edge
      __m256i counts[kEdges];
      for (int k = 0; k < kEdges; ++k) {
        below[k] = _mm256_set1_epi32(args.edges[e + k] - 1);
        counts[k] = _mm256_setzero_si256();
      }
      for (std::int64_t i = 0; i < filled; i += kLanes) {
        const __m256i key = _mm256_load_si256(reinterpret_cast<const __m256i*>(keys + i));
        for (int k = 0; k < kEdges; ++k) counts[k] = _mm256_sub_epi32(counts[k], _mm256_cmpgt_epi32(key, below[k]));
      }
      for (int k = 0; k < kEdges; ++k) args.at_least[e + k] += sum(counts[k]);
    }
  }
}

}  // namespace edgeml::kernels
