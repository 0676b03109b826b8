// SPDX-License-Identifier: Apache-2.0
// s64_rank_neon: 8 words in four registers against one entry at a time. Contract: s64_rank.h.
#include <arm_neon.h>

#include <cstdint>

#include "kernels/s64_rank/s64_rank.h"

namespace edgeml::kernels {

void s64_rank_neon(const S64RankArgs& args) noexcept {
  constexpr int kVectors = 4;
  for (std::int64_t i = 0; i < args.n; i += 2 * kVectors) {
    int64x2_t words[kVectors];
    int64x2_t ranks[kVectors];
    for (int v = 0; v < kVectors; ++v) {
      words[v] = vld1q_s64(args.words + i + 2 * v);
      ranks[v] = vdupq_n_s64(0);
    }
    for (std::int64_t e = 0; e < args.entry_count; ++e) {
      const int64x2_t entry = vld1q_dup_s64(args.entries + e);
      for (int v = 0; v < kVectors; ++v) {
        ranks[v] = vsubq_s64(ranks[v], vreinterpretq_s64_u64(vcgtq_s64(words[v], entry)));
      }
    }
    for (int v = 0; v < kVectors; ++v) vst1q_s64(args.out + i + 2 * v, ranks[v]);
  }
}

}  // namespace edgeml::kernels
