// SPDX-License-Identifier: Apache-2.0
// pad: an activation inside a larger one that is filled with a constant.
#include <cstring>

#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"
#include "ops/strided_copy.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kBegin = 0, kEnd = 8, kValue = 16 };

class Pad final : public Operator {
 public:
  explicit Pad(const OperatorContext& context)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_dims_(context.input(0).dims),
        out_dims_(context.output().dims),
        in_(in_dims_),
        out_(out_dims_),
        stored_value_(context.attribute(kValue) + kernels::kActOffset) {
    for (std::size_t axis = 0; axis < kTensorRankMax; ++axis) begin_[axis] = context.attribute(kBegin + axis);
    planes_only_ = begin_[1] % 4 == 0 && in_.channels % 4 == 0 && in_.pixels == out_.pixels;
  }

  void run(const Run& run) const noexcept override {
    for (std::int64_t n = 0; n < run.batch; ++n) {
      const act_t* const x = run.tensor<act_t>(x_) + n * in_.sample_step;
      act_t* const y = run.tensor<act_t>(y_) + n * out_.sample_step;
      std::memset(y, stored_value_ & 0xff, static_cast<std::size_t>(out_.sample_step));
      if (planes_only_) {
        for (std::int64_t g = 0; g < in_.groups; ++g) {
          std::memcpy(y + (begin_[1] / 4 + g) * out_.plane_step, x + g * in_.plane_step,
                      static_cast<std::size_t>(in_.pixels) * 4);
        }
        continue;
      }
      for_each_element(in_dims_, [&](auto at) {
        const act_t value = x[byte_of(in_, in_dims_, at)];
        for (std::size_t axis = 1; axis < kTensorRankMax; ++axis) at[axis] += begin_[axis];
        y[byte_of(out_, out_dims_, at)] = value;
      });
    }
  }

 private:
  std::uint32_t x_, y_;
  Dims in_dims_, out_dims_;
  Layout in_, out_;
  std::int32_t stored_value_;
  std::array<std::int64_t, kTensorRankMax> begin_{};
  bool planes_only_ = false;  // padding of channels by whole words
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
