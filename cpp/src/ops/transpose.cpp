// SPDX-License-Identifier: Apache-2.0
// transpose: the axes of a sample in another order.
#include <array>
#include <vector>

#include "ops/box_copy.h"
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"

namespace edgeml {
namespace {

using kernels::act_t;

class Transpose final : public Operator {
 public:
  explicit Transpose(const OperatorContext& context)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_(context.input(0).dims),
        out_(context.output().dims),
        copy_(context.input(0).dims, context.output().dims, axes(context)) {}

  void run(const Run& run) const noexcept override {
    for (std::int64_t n = 0; n < run.batch; ++n) {
      copy_.run(run.tensor<act_t>(x_) + n * in_.sample_step, run.tensor<act_t>(y_) + n * out_.sample_step);
    }
  }

 private:
  static std::vector<BoxCopy::Axis> axes(const OperatorContext& context) {
    std::vector<BoxCopy::Axis> axes;
    const Dims& out = context.output().dims;
    for (std::int32_t axis = 1; axis < out.rank; ++axis) {
      axes.push_back({out[axis], context.attribute(static_cast<std::size_t>(axis)), 0, 1, 0});
    }
    return axes;
  }

  std::uint32_t x_, y_;
  Layout in_, out_;
  BoxCopy copy_;
};

}  // namespace

OperatorResult make_transpose(const OperatorContext& context) {
  const Tensor& x = context.input(0);
  const Tensor& y = context.output();
  EDGEML_RETURN_IF_ERROR(check_activation(context, x, DType::s8));
  EDGEML_RETURN_IF_ERROR(check_activation(context, y, DType::s8, x.dims.rank));
  EDGEML_RETURN_IF_ERROR(check_same_quantization(context, x, y));
  std::array<bool, kTensorRankMax> seen{};
  for (std::int32_t axis = 0; axis < kTensorRankMax; ++axis) {
    const std::int32_t from = context.attribute(static_cast<std::size_t>(axis));
    const bool used = axis > 0 && axis < x.dims.rank;
    if (from < 0 || from >= kTensorRankMax || seen[static_cast<std::size_t>(from)] || (!used && from != axis)) {
      return fail(ErrorCode::bad_attribute, where(context), ": entry ", axis, " of the permutation is ", from,
                  ", which is not possible");
    }
    seen[static_cast<std::size_t>(from)] = true;
    if (used && x.dims[from] != y.dims[axis]) {
      return fail(ErrorCode::shape_mismatch, where(context), ": axis ", axis, " of the output is ", y.dims[axis],
                  ", it must be ", x.dims[from]);
    }
  }
  return std::make_unique<Transpose>(context);
}

}  // namespace edgeml
