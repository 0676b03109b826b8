// SPDX-License-Identifier: Apache-2.0
// s64_rank_avx512vnni: 32 words in four registers against one entry at a time. Contract: s64_rank.h.
#if !defined(__AVX512F__) || !defined(__AVX512VNNI__)
#error "built without the flags of avx512vnni: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/s64_rank/s64_rank.h"

namespace edgeml::kernels {
namespace {

template <int kVectors>
inline __attribute__((always_inline)) void rank(const S64RankArgs& args, std::int64_t begin) {
  const __m512i one = _mm512_set1_epi64(1);
  __m512i words[kVectors];
  __m512i ranks[kVectors];
  for (int v = 0; v < kVectors; ++v) {
    words[v] = _mm512_loadu_si512(args.words + begin + 8 * v);
    ranks[v] = _mm512_setzero_si512();
  }
  for (std::int64_t e = 0; e < args.entry_count; ++e) {
    const __m512i entry = _mm512_set1_epi64(args.entries[e]);
    for (int v = 0; v < kVectors; ++v) {
      ranks[v] = _mm512_mask_add_epi64(ranks[v], _mm512_cmplt_epi64_mask(entry, words[v]), ranks[v], one);
    }
  }
  for (int v = 0; v < kVectors; ++v) _mm512_storeu_si512(args.out + begin + 8 * v, ranks[v]);
}

}  // namespace

void s64_rank_avx512vnni(const S64RankArgs& args) noexcept {
  std::int64_t i = 0;
  for (; i + 32 <= args.n; i += 32) rank<4>(args, i);
  for (; i < args.n; i += 8) rank<1>(args, i);
}

}  // namespace edgeml::kernels
