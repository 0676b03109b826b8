// SPDX-License-Identifier: Apache-2.0
// A box of strided positions inside a dense tensor, as attributes give it: offset, step[8].
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ops/plain_operator.h"

namespace edgeml {

inline constexpr std::size_t kBoxAttributes = 1 + kTensorRankMax;

// Attributes [first, first + 9).
struct Box {
  std::int64_t offset;
  std::array<std::int64_t, kTensorRankMax> step{};

  Box(const OperatorContext& context, std::size_t first);
};

// Every position of a box of these dims lies in [0, elements).
Status check_box(const OperatorContext& context, const Box& box, const Dims& dims, std::int64_t elements);

}  // namespace edgeml
