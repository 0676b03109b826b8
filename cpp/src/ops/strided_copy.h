// SPDX-License-Identifier: Apache-2.0
// Logical coordinates of an activation and the bytes that stand for them.
#pragma once

#include <array>
#include <cstdint>

#include "kernels/activation.h"
#include "ops/layout.h"

namespace edgeml {

// Calls move(coordinates) for every element of a sample, axis 0 being the batch and left at 0. The last axis runs
// fastest.
template <class Move>
void for_each_element(const Dims& dims, const Move& move) {
  std::array<std::int64_t, kTensorRankMax> at{};
  const std::int64_t count = dims.elements_per_sample();
  for (std::int64_t i = 0; i < count; ++i) {
    move(at);
    for (std::int32_t axis = dims.rank - 1; axis > 0; --axis) {
      if (++at[static_cast<std::size_t>(axis)] < dims[axis]) break;
      at[static_cast<std::size_t>(axis)] = 0;
    }
  }
}

// Byte of an element in a sample of a C4P activation.
inline std::int64_t byte_of(const Layout& layout, const Dims& dims,
                            const std::array<std::int64_t, kTensorRankMax>& at) {
  std::int64_t pixel = 0;
  for (std::int32_t axis = 2; axis < dims.rank; ++axis) pixel = pixel * dims[axis] + at[static_cast<std::size_t>(axis)];
  return layout.byte_of(dims.rank >= 2 ? at[1] : 0, pixel);
}

}  // namespace edgeml
