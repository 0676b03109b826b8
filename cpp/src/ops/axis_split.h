// SPDX-License-Identifier: Apache-2.0
// A dense tensor seen from one of its axes: [outer][size][inner].
#pragma once

#include <cstdint>

#include "edgeml/tensor.h"

namespace edgeml {

struct AxisSplit {
  std::int64_t outer = 1, size = 1, inner = 1;

  AxisSplit(const Dims& dims, std::int32_t axis) : size(dims[axis]) {
    for (std::int32_t i = 0; i < axis; ++i) outer *= dims[i];
    for (std::int32_t i = axis + 1; i < dims.rank; ++i) inner *= dims[i];
  }
};

}  // namespace edgeml
