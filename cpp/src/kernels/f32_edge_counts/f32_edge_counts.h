// SPDX-License-Identifier: Apache-2.0
// f32_edge_counts: at_least[e] += how many of the values are at or above edge e; *nans += how many are NaN, which are
// at no edge. Counting at edges needs neither a search nor a histogram: a bin is the difference of two counts.
//
// Edges are integer keys of the order of float32 (observe/bin_edges.h): key = bits ^ ((bits >> 31) & 0x7fffffff), and 0
// for -0. Integers compare exactly for denormals whatever the floating-point mode of the thread is.
#pragma once

#include <cstdint>

namespace edgeml::kernels {

struct F32EdgeCountsArgs {
  const float* values;
  std::int64_t n;
  const std::int32_t* edges;  // keys, each above INT32_MIN
  std::int64_t edge_count;    // a multiple of 4
  std::int64_t* at_least;     // [edge_count]
  std::int64_t* nans;
};

using F32EdgeCountsFn = void (*)(const F32EdgeCountsArgs&) noexcept;

}  // namespace edgeml::kernels
