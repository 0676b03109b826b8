// SPDX-License-Identifier: Apache-2.0
#include "observe/bin_edges.h"

#include <algorithm>

#include "kernels/kernel_table.h"

namespace edgeml {
namespace {

constexpr std::int64_t kBlock = 1024;     // strided values that are gathered before they are counted
constexpr std::size_t kComparedMax = 64;  // up to here comparing with every edge, by vectors, beats searching

}  // namespace

void BinEdges::count(const float* values, std::int64_t count, std::int64_t stride,
                     std::int64_t* counts) const noexcept {
  const std::size_t edges = static_cast<std::size_t>(bins_) + 1;
  if (edges > kComparedMax || count < 8) {
    for (std::int64_t n = 0; n < count; ++n) ++counts[slot(values[n * stride])];
    return;
  }
  const kernels::F32EdgeCountsFn edge_counts = kernels::machine_kernels().f32_edge_counts.fn;
  const auto padded = static_cast<std::int64_t>((edges + 3) / 4 * 4);
  std::int64_t at_least[kComparedMax] = {};
  std::int64_t nans = 0;
  if (stride == 1) {
    edge_counts({values, count, keys_.data(), padded, at_least, &nans});
  } else {
    float taken[kBlock];
    for (std::int64_t begin = 0; begin < count; begin += kBlock) {
      const std::int64_t block = std::min(count - begin, kBlock);
      for (std::int64_t n = 0; n < block; ++n) taken[n] = values[(begin + n) * stride];
      edge_counts({taken, block, keys_.data(), padded, at_least, &nans});
    }
  }
  std::int64_t above = count - nans;
  counts[0] += nans;
  for (std::size_t e = 0; e < edges; ++e) {
    counts[1 + e] += above - at_least[e];
    above = at_least[e];
  }
  counts[1 + edges] += above;
}

}  // namespace edgeml
