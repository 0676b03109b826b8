// SPDX-License-Identifier: Apache-2.0
// Constant inputs that hold positions along an axis.
#pragma once

#include "ops/checks.h"
#include "ops/operator.h"

namespace edgeml {

// Input `input` is an s32 constant of `count` positions, each in [0, size).
inline Status check_indices(const OperatorContext& context, std::size_t input, std::int64_t count, std::int64_t size) {
  EDGEML_RETURN_IF_ERROR(check_constant(context, input, DType::s32, {count}));
  for (const std::int32_t index : context.input(input).values<std::int32_t>()) {
    if (index < 0 || index >= size) {
      return fail(ErrorCode::bad_table, where(context), ": position ", index, " is not in 0..", size - 1);
    }
  }
  return Done{};
}

}  // namespace edgeml
