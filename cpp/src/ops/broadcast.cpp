// SPDX-License-Identifier: Apache-2.0
#include "ops/broadcast.h"

namespace edgeml {

Status check_broadcast(const OperatorContext& context) {
  const Dims y = item_dims(context.output());
  for (std::size_t k = 0; k < context.node.inputs.size(); ++k) {
    const Dims x = item_dims(context.input(k));
    bool fits = x.rank <= y.rank;
    for (std::int32_t axis = 1; fits && axis <= x.rank; ++axis) {
      const std::int64_t size = x[x.rank - axis];
      fits = size == 1 || size == y[y.rank - axis];
    }
    if (!fits) {
      return fail(ErrorCode::shape_mismatch, where(context), ": \"", context.input(k).name,
                  "\" cannot be broadcast to the output");
    }
  }
  return Done{};
}

std::array<std::int64_t, kTensorRankMax> broadcast_steps_of(const Dims& x, const Dims& y) {
  const std::array<std::int64_t, kTensorRankMax> dense = dense_steps(x);
  std::array<std::int64_t, kTensorRankMax> steps{};
  for (std::int32_t axis = 1; axis <= x.rank; ++axis) {
    if (x[x.rank - axis] != 1)
      steps[static_cast<std::size_t>(y.rank - axis)] = dense[static_cast<std::size_t>(x.rank - axis)];
  }
  return steps;
}

}  // namespace edgeml
