// SPDX-License-Identifier: Apache-2.0
// s64_rank_avx2: 16 words in four registers against one entry at a time. Contract: s64_rank.h.
#if !defined(__AVX2__)
#error "built without -mavx2: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/s64_rank/s64_rank.h"

namespace edgeml::kernels {
namespace {

template <int kVectors>
inline __attribute__((always_inline)) void rank(const S64RankArgs& args, std::int64_t begin) {
  __m256i words[kVectors];
  __m256i ranks[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    words[v] = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(args.words + begin + 4 * v));
    ranks[v] = _mm256_setzero_si256();
  }
  for (std::int64_t e = 0; e < args.entry_count; ++e) {
    const __m256i entry = _mm256_set1_epi64x(args.entries[e]);
    for (int v = 0; v < kVectors; ++v) ranks[v] = _mm256_sub_epi64(ranks[v], _mm256_cmpgt_epi64(words[v], entry));
  }
  for (int v = 0; v < kVectors; ++v) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(args.out + begin + 4 * v), ranks[v]);
  }
}

}  // namespace

void s64_rank_avx2(const S64RankArgs& args) noexcept {
  std::int64_t i = 0;
  for (; i + 16 <= args.n; i += 16) rank<4>(args, i);
  for (; i < args.n; i += 8) rank<2>(args, i);
}

}  // namespace edgeml::kernels
