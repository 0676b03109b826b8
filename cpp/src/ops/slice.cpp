// SPDX-License-Identifier: Apache-2.0
// slice: every step-th element from a start, along each axis.
#include <vector>

#include "ops/box_copy.h"
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kStart = 0, kStep = 8 };

class Slice final : public Operator {
 public:
  explicit Slice(const OperatorContext& context)
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
      const auto at = static_cast<std::size_t>(axis);
      axes.push_back({out[axis], axis, context.attribute(kStart + at), context.attribute(kStep + at), 0});
    }
    return axes;
  }

  std::uint32_t x_, y_;
  Layout in_, out_;
  BoxCopy copy_;
};

}  // namespace

OperatorResult make_slice(const OperatorContext& context) {
  const Tensor& x = context.input(0);
  const Tensor& y = context.output();
  EDGEML_RETURN_IF_ERROR(check_activation(context, x, DType::s8));
  EDGEML_RETURN_IF_ERROR(check_activation(context, y, DType::s8, x.dims.rank));
  EDGEML_RETURN_IF_ERROR(check_same_quantization(context, x, y));
  for (std::int32_t axis = 0; axis < kTensorRankMax; ++axis) {
    const std::int64_t start = context.attribute(kStart + static_cast<std::size_t>(axis));
    const std::int64_t step = context.attribute(kStep + static_cast<std::size_t>(axis));
    const bool used = axis > 0 && axis < x.dims.rank;
    const std::int64_t last = used ? start + (y.dims[axis] - 1) * step : 0;
    if (start < 0 || step < 1 || (!used && (start != 0 || step != 1))) {
      return fail(ErrorCode::bad_attribute, where(context), ": start ", start, " and step ", step, " on axis ", axis,
                  " are not possible");
    }
    if (used && last >= x.dims[axis]) {
      return fail(ErrorCode::shape_mismatch, where(context), ": axis ", axis, " is read up to ", last, ", it has ",
                  x.dims[axis]);
    }
  }
  return std::make_unique<Slice>(context);
}

}  // namespace edgeml
