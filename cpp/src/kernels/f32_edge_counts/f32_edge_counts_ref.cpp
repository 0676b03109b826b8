// SPDX-License-Identifier: Apache-2.0
// f32_edge_counts_ref: the specification of f32_edge_counts.h.
#include <cstring>

#include "kernels/f32_edge_counts/f32_edge_counts.h"

namespace edgeml::kernels {

void f32_edge_counts_ref(const F32EdgeCountsArgs& args) noexcept {
  for (std::int64_t i = 0; i < args.n; ++i) {
    std::int32_t bits;
    std::memcpy(&bits, args.values + i, sizeof bits);
    if ((bits & 0x7fffffff) > 0x7f800000) {
      ++*args.nans;
      continue;
    }
    std::int32_t key = bits ^ ((bits >> 31) & 0x7fffffff);
    if (key == -1) key = 0;
    for (std::int64_t e = 0; e < args.edge_count; ++e)
      args.at_least[e] += static_cast<std::int64_t>(key >= args.edges[e]);
  }
}

}  // namespace edgeml::kernels
