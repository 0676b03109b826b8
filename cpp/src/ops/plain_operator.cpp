// SPDX-License-Identifier: Apache-2.0
#include "ops/plain_operator.h"

namespace edgeml {

PlainOperator::PlainOperator(const OperatorContext& context)
    : output_(operand(context, context.node.outputs[0])), per_item_(context.model.has_free_batch()) {
  for (const std::uint32_t input : context.node.inputs) inputs_.push_back(operand(context, input));
}

PlainOperator::Operand PlainOperator::operand(const OperatorContext& context, std::uint32_t tensor) {
  const Tensor& t = context.model.tensors[tensor];
  const bool shared = t.is_constant || !context.model.has_free_batch();
  return {tensor, shared ? 0 : t.dims.elements() * dtype_bytes(t.dtype)};
}

void PlainOperator::run(const Run& run) const noexcept {
  PlainCall call{run, {}, run.tensors[output_.tensor]};
  for (std::size_t i = 0; i < inputs_.size(); ++i) call.x[i] = run.tensors[inputs_[i].tensor];
  const std::int64_t items = per_item_ ? run.batch : 1;
  for (std::int64_t n = 0; n < items; ++n) {
    run_item(call);
    for (std::size_t i = 0; i < inputs_.size(); ++i) call.x[i] += inputs_[i].item_bytes;
    call.y += output_.item_bytes;
  }
}

Dims item_dims(const Tensor& tensor) {
  Dims dims = tensor.dims;
  if (dims.rank > 0 && dims[0] == 0) dims[0] = 1;
  return dims;
}

std::array<std::int64_t, kTensorRankMax> dense_steps(const Dims& dims) {
  std::array<std::int64_t, kTensorRankMax> steps{};
  std::int64_t step = 1;
  for (std::int32_t axis = dims.rank - 1; axis >= 0; --axis) {
    steps[static_cast<std::size_t>(axis)] = step;
    step *= dims[axis];
  }
  return steps;
}

Status check_plain(const OperatorContext& context) {
  const auto is_plain = [&](const Tensor& tensor) -> Status {
    if (!tensor.is_quantized()) return Done{};
    return fail(ErrorCode::bad_quantization, where(context), ": \"", tensor.name, "\" must not be quantized");
  };
  for (std::size_t i = 0; i < context.node.inputs.size(); ++i) EDGEML_RETURN_IF_ERROR(is_plain(context.input(i)));
  return is_plain(context.output());
}

Status check_dtype(const OperatorContext& context, const Tensor& tensor, DType dtype) {
  if (tensor.dtype == dtype) return Done{};
  return fail(ErrorCode::bad_operand, where(context), ": \"", tensor.name, "\" is ", dtype_name(tensor.dtype),
              ", it must be ", dtype_name(dtype));
}

Status check_elements(const OperatorContext& context, const Tensor& tensor, std::int64_t elements) {
  if (tensor.dims.elements() == elements) return Done{};
  return fail(ErrorCode::shape_mismatch, where(context), ": \"", tensor.name, "\" has ", tensor.dims.elements(),
              " elements, it must have ", elements);
}

Status check_is_index(const OperatorContext& context, const Tensor& tensor) {
  if (tensor.dtype == DType::s32 || tensor.dtype == DType::s64) return Done{};
  return fail(ErrorCode::bad_operand, where(context), ": \"", tensor.name, "\" is ", dtype_name(tensor.dtype),
              ", indices are int32 or int64");
}

}  // namespace edgeml
