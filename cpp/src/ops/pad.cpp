// SPDX-License-Identifier: Apache-2.0
// pad: an activation inside a larger one that is filled with a constant.
#include <cstring>
#include <vector>

#include "ops/box_copy.h"
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kBegin = 0, kEnd = 8, kValue = 16 };

class Pad final : public Operator {
 public:
  explicit Pad(const OperatorContext& context)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_(context.input(0).dims),
        out_(context.output().dims),
        stored_value_(context.attribute(kValue) + kernels::kActOffset),
        copy_(context.input(0).dims, context.output().dims, axes(context)) {}

  void run(const Run& run) const noexcept override {
    for (std::int64_t n = 0; n < run.batch; ++n) {
      act_t* const y = run.tensor<act_t>(y_) + n * out_.sample_step;
      std::memset(y, stored_value_ & 0xff, static_cast<std::size_t>(out_.sample_step));
      copy_.run(run.tensor<act_t>(x_) + n * in_.sample_step, y);
    }
  }

 private:
  static std::vector<BoxCopy::Axis> axes(const OperatorContext& context) {
    std::vector<BoxCopy::Axis> axes;
    const Dims& in = context.input(0).dims;
    for (std::int32_t axis = 1; axis < in.rank; ++axis) {
      axes.push_back({in[axis], axis, 0, 1, context.attribute(kBegin + static_cast<std::size_t>(axis))});
    }
    return axes;
  }

  std::uint32_t x_, y_;
  Layout in_, out_;
  std::int32_t stored_value_;
  BoxCopy copy_;
};

}  // namespace

OperatorResult make_pad(const OperatorContext& context) {
  const Tensor& x = context.input(0);
  const Tensor& y = context.output();
  EDGEML_RETURN_IF_ERROR(check_activation(context, x, DType::s8));
  EDGEML_RETURN_IF_ERROR(check_activation(context, y, DType::s8, x.dims.rank));
  EDGEML_RETURN_IF_ERROR(check_same_quantization(context, x, y));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kValue, 1, -128, 127));
  for (std::int32_t axis = 0; axis < kTensorRankMax; ++axis) {
    const std::int64_t begin = context.attribute(kBegin + static_cast<std::size_t>(axis));
    const std::int64_t end = context.attribute(kEnd + static_cast<std::size_t>(axis));
    const bool used = axis > 0 && axis < x.dims.rank;
    if (begin < 0 || end < 0 || (!used && (begin != 0 || end != 0))) {
      return fail(ErrorCode::bad_attribute, where(context), ": padding of axis ", axis, " by ", begin, " and ", end,
                  " is not possible");
    }
    if (used && x.dims[axis] + begin + end != y.dims[axis]) {
      return fail(ErrorCode::shape_mismatch, where(context), ": axis ", axis, " of the output is ", y.dims[axis],
                  ", the padding gives ", x.dims[axis] + begin + end);
    }
  }
  return std::make_unique<Pad>(context);
}

}  // namespace edgeml
