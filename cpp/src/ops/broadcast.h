// SPDX-License-Identifier: Apache-2.0
// Broadcasting: axes are matched from the last one, an axis of 1 or a missing one repeats.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "ops/plain_operator.h"
#include "ops/strided_rows.h"

namespace edgeml {

// Every input's axes are those of the output, or 1, or missing.
Status check_broadcast(const OperatorContext& context);

// The steps of one operand along the axes of the output.
std::array<std::int64_t, kTensorRankMax> broadcast_steps_of(const Dims& x, const Dims& y);

template <std::size_t kInputs>
std::array<std::array<std::int64_t, kTensorRankMax>, kInputs> broadcast_steps(const OperatorContext& context) {
  std::array<std::array<std::int64_t, kTensorRankMax>, kInputs> steps{};
  for (std::size_t k = 0; k < kInputs; ++k)
    steps[k] = broadcast_steps_of(item_dims(context.input(k)), item_dims(context.output()));
  return steps;
}

}  // namespace edgeml
