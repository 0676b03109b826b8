// SPDX-License-Identifier: Apache-2.0
#include "ops/box.h"

#include <algorithm>

namespace edgeml {

Box::Box(const OperatorContext& context, std::size_t first) : offset(context.attribute(first)) {
  for (std::size_t axis = 0; axis < kTensorRankMax; ++axis) step[axis] = context.attribute(first + 1 + axis);
}

Status check_box(const OperatorContext& context, const Box& box, const Dims& dims, std::int64_t elements) {
  // Dims and steps are below 2^31 and there are 8 of them: neither sum can leave int64 by far, but for a product of
  // 2^62 eight times over, which ends here after the second.
  std::int64_t low = box.offset;
  std::int64_t high = box.offset;
  for (std::int32_t axis = 0; axis < kTensorRankMax; ++axis) {
    const std::int64_t step = box.step[static_cast<std::size_t>(axis)];
    const std::int64_t reach = axis < dims.rank ? (dims[axis] - 1) * step : 0;
    if (axis >= dims.rank && step != 0)
      return fail(ErrorCode::bad_attribute, where(context), ": the step of axis ", axis, ", beyond the rank, is not 0");
    low += std::min<std::int64_t>(reach, 0);
    high += std::max<std::int64_t>(reach, 0);
    if (low < 0 || high >= elements) {
      return fail(ErrorCode::bad_attribute, where(context), ": positions ", low, " to ", high,
                  " are not inside the tensor's ", elements, " elements");
    }
  }
  return Done{};
}

}  // namespace edgeml
