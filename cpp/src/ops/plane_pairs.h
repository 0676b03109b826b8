// SPDX-License-Identifier: Apache-2.0
// The loop of operators that make each output plane of 4 channels from the input plane of the same channels.
#pragma once

#include <algorithm>

#include "ops/layout.h"
#include "ops/operator.h"

namespace edgeml {

// An activation and where its planes lie.
struct PlaneTensor {
  std::uint32_t index;
  Layout layout;

  kernels::act_t* plane(const Run& run, std::int64_t n, std::int64_t g) const {
    return run.tensor<kernels::act_t>(index) + n * layout.sample_step + g * layout.plane_step;
  }
};

// body(n, g, in, out) for the planes of group g of sample n; planes are shared out over the threads.
template <class Body>
void for_plane_pairs(const Run& run, const PlaneTensor& x, const PlaneTensor& y, const Body& body) {
  const std::int64_t groups = y.layout.groups;
  const std::int64_t planes = run.batch * groups;
  const std::int64_t bytes = run.batch * std::max(x.layout.sample_step, y.layout.sample_step);
  for_ranges(run.parallel, planes, tile_count(run.parallel, planes, bytes, kTileBytesMin),
             [&](std::int64_t begin, std::int64_t end, std::int32_t) {
               for (std::int64_t i = begin; i < end; ++i) {
                 const std::int64_t n = i / groups;
                 const std::int64_t g = i % groups;
                 body(n, g, x.plane(run, n, g), y.plane(run, n, g));
               }
             });
}

}  // namespace edgeml
