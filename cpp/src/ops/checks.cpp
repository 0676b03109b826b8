// SPDX-License-Identifier: Apache-2.0
#include "ops/checks.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "kernels/activation.h"
#include "ops/weight_sums.h"

namespace edgeml {
namespace {

std::string show(const Dims& dims) {
  std::string out = "[";
  for (std::int32_t axis = 0; axis < dims.rank; ++axis) out += (axis == 0 ? "" : ", ") + std::to_string(dims[axis]);
  return out + "]";
}

// The rule of one output channel of a layer with weights.
Status check_channel(const OperatorContext& context, std::int64_t channel, const WeightSums& sums) {
  if (sums.has_minus_128) {
    return fail(ErrorCode::bad_weight, where(context), ": a weight of channel ", channel,
                " is -128, the range is -127..127");
  }
  const std::int64_t bias = context.input(2).values<std::int32_t>()[static_cast<std::size_t>(channel)];
  const std::int64_t folded = bias - context.input(0).zero_point * sums.sum;
  if (255 * sums.magnitude + (folded < 0 ? -folded : folded) > INT32_MAX) {
    return fail(ErrorCode::accumulator_overflow, where(context), ": the sum of channel ", channel,
                " can leave int32; convert the model again");
  }
  return Done{};
}

}  // namespace

std::string where(const OperatorContext& context) {
  return text("node \"", context.node.name, "\" (", find_op_info(static_cast<std::uint32_t>(context.node.op))->name,
              ")");
}

Status check_activation(const OperatorContext& context, const Tensor& tensor, DType dtype, std::int32_t rank) {
  if (tensor.is_constant)
    return fail(ErrorCode::bad_operand, where(context), ": \"", tensor.name, "\" must be an activation");
  if (tensor.dtype != dtype) {
    return fail(ErrorCode::bad_operand, where(context), ": \"", tensor.name, "\" is ", dtype_name(tensor.dtype),
                ", it must be ", dtype_name(dtype));
  }
  if (dtype == DType::s8 && !tensor.is_quantized()) {
    return fail(ErrorCode::bad_quantization, where(context), ": \"", tensor.name, "\" must have a scale");
  }
  if (rank != 0 && tensor.dims.rank != rank) {
    return fail(ErrorCode::shape_mismatch, where(context), ": \"", tensor.name, "\" has dims ", show(tensor.dims),
                ", it must have rank ", rank);
  }
  return Done{};
}

Status check_constant(const OperatorContext& context, std::size_t input, DType dtype,
                      std::initializer_list<std::int64_t> dims) {
  const Tensor& tensor = context.input(input);
  if (!tensor.is_constant || tensor.dtype != dtype) {
    return fail(ErrorCode::bad_operand, where(context), ": input ", input, " must be a constant of ",
                dtype_name(dtype));
  }
  Dims expected;
  for (const std::int64_t size : dims) expected[expected.rank++] = size;
  if (tensor.dims != expected) {
    return fail(ErrorCode::shape_mismatch, where(context), ": \"", tensor.name, "\" has dims ", show(tensor.dims),
                ", it must have ", show(expected));
  }
  return Done{};
}

Status check_dims(const OperatorContext& context, const Tensor& tensor,
                  std::initializer_list<std::int64_t> dims_per_sample) {
  Dims expected;
  expected[expected.rank++] = tensor.dims[0];
  for (const std::int64_t size : dims_per_sample) expected[expected.rank++] = size;
  if (tensor.dims != expected) {
    return fail(ErrorCode::shape_mismatch, where(context), ": \"", tensor.name, "\" has dims ", show(tensor.dims),
                ", it must have ", show(expected));
  }
  return Done{};
}

Status check_same_dims(const OperatorContext& context, const Tensor& a, const Tensor& b) {
  if (a.dims != b.dims) {
    return fail(ErrorCode::shape_mismatch, where(context), ": \"", a.name, "\" has dims ", show(a.dims), ", \"", b.name,
                "\" has ", show(b.dims), ", they must be equal");
  }
  return Done{};
}

Status check_same_quantization(const OperatorContext& context, const Tensor& a, const Tensor& b) {
  if (a.scale != b.scale || a.zero_point != b.zero_point) {
    return fail(ErrorCode::bad_quantization, where(context), ": \"", a.name, "\" and \"", b.name,
                "\" must have the same scale and zero point");
  }
  return Done{};
}

Status check_attribute_range(const OperatorContext& context, std::size_t first, std::size_t count, std::int32_t min,
                             std::int32_t max) {
  for (std::size_t i = first; i < first + count; ++i) {
    if (context.attribute(i) < min || context.attribute(i) > max) {
      return fail(ErrorCode::bad_attribute, where(context), ": attribute ", i, " is ", context.attribute(i),
                  ", it must be in ", min, "..", max);
    }
  }
  return Done{};
}

Status check_act_range(const OperatorContext& context, std::size_t first) {
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, first, 2, -128, 127));
  if (context.attribute(first) > context.attribute(first + 1)) {
    return fail(ErrorCode::bad_attribute, where(context), ": act_min ", context.attribute(first), " is above act_max ",
                context.attribute(first + 1));
  }
  return Done{};
}

Status check_multipliers(const OperatorContext& context, std::size_t input, bool signs_allowed) {
  for (const float m : context.input(input).values<float>()) {
    const float magnitude = signs_allowed ? std::fabs(m) : m;
    if (!(magnitude >= 0x1p-32F && magnitude < 0x1p8F)) {
      return fail(ErrorCode::bad_multiplier, where(context), ": a multiplier is not in [2^-32, 2^8)");
    }
  }
  return Done{};
}

Status check_weights(const OperatorContext& context, std::int64_t rows, std::int64_t row, std::int64_t row_step,
                     std::int64_t value_step) {
  const std::int8_t* const weights = context.input(1).values<std::int8_t>().data();
  for (std::int64_t r = 0; r < rows; ++r) {
    EDGEML_RETURN_IF_ERROR(check_channel(context, r, weight_sums(weights + r * row_step, row, value_step)));
  }
  return Done{};
}

Status check_dense_size(const OperatorContext& context, const BlockSparse& weights) {
  if (weights.groups <= INT32_MAX / 4 / weights.channels) return Done{};
  return fail(ErrorCode::too_much_work, where(context), ": weights of ", weights.channels, " channels over a depth of ",
              4 * weights.groups, " are too large");
}

Status check_sparse_weights(const OperatorContext& context, const BlockSparse& weights) {
  std::vector<WeightSums> sums(static_cast<std::size_t>(weights.rows * weights.block_rows));
  for_each_block(weights, [&](std::int64_t row, std::int64_t, const std::int8_t* block) {
    for (std::int64_t at = 0; at < weights.block_bytes(); ++at) {
      WeightSums& channel = sums[static_cast<std::size_t>(row * weights.block_rows + at / 4)];
      channel.sum += block[at];
      channel.magnitude += block[at] < 0 ? -block[at] : block[at];
      channel.has_minus_128 |= block[at] == -128;
    }
  });
  for (std::int64_t c = 0; c < weights.channels; ++c) {
    EDGEML_RETURN_IF_ERROR(check_channel(context, c, sums[static_cast<std::size_t>(c)]));
  }
  return Done{};
}

kernels::OutputRange output_range(const Tensor& output, std::int32_t act_min, std::int32_t act_max) {
  return {static_cast<float>(act_min - output.zero_point), static_cast<float>(act_max - output.zero_point),
          output.zero_point + kernels::kActOffset};
}

}  // namespace edgeml
