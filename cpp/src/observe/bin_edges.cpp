// SPDX-License-Identifier: Apache-2.0
#include "observe/bin_edges.h"

#include <algorithm>

namespace edgeml {
namespace {

constexpr std::int64_t kBlock = 256;      // values: keys and slots stay in the first cache
constexpr std::size_t kComparedMax = 64;  // up to here comparing with every edge, by vectors, beats searching
constexpr std::size_t kHistograms = 4;    // so that equal values in a row do not wait for each other's store

}  // namespace

void BinEdges::count(const float* values, std::int64_t count, std::int64_t stride,
                     std::int64_t* counts) const noexcept {
  const std::size_t edges = static_cast<std::size_t>(bins_) + 1;
  if (edges > kComparedMax || count < 8) {
    for (std::int64_t n = 0; n < count; ++n) ++counts[slot(values[n * stride])];
    return;
  }
  while (count > 0) {
    const std::int64_t block = std::min(count, kBlock);
    float taken[kBlock];
    std::int32_t keys[kBlock];
    std::int32_t slots[kBlock];
    for (std::int64_t n = 0; n < block; ++n) taken[n] = values[n * stride];
    for (std::int64_t n = block; n < kBlock; ++n) taken[n] = 0;
    for (std::int64_t n = 0; n < kBlock; ++n) keys[n] = float_key(taken[n]);
    for (std::int64_t n = 0; n < kBlock; ++n) slots[n] = 1;
    for (std::size_t e = 0; e < edges; ++e) {
      const std::int32_t edge = keys_[e];
      for (std::int64_t n = 0; n < kBlock; ++n) slots[n] += static_cast<std::int32_t>(edge <= keys[n]);
    }
    for (std::int64_t n = 0; n < kBlock; ++n) slots[n] = is_nan(taken[n]) ? 0 : slots[n];
    std::int32_t histograms[kHistograms][kComparedMax + 2] = {};
    std::int64_t n = 0;
    for (; n + static_cast<std::int64_t>(kHistograms) <= block; n += kHistograms) {
      for (std::size_t h = 0; h < kHistograms; ++h) ++histograms[h][slots[n + static_cast<std::int64_t>(h)]];
    }
    for (; n < block; ++n) ++histograms[0][slots[n]];
    for (std::size_t s = 0; s < edges + 2; ++s) {
      for (const auto& histogram : histograms) counts[s] += histogram[s];
    }
    values += block * stride;
    count -= block;
  }
}

}  // namespace edgeml
