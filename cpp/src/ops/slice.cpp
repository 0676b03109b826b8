// SPDX-License-Identifier: Apache-2.0
// slice: every step-th element from a start, along each axis.
#include <cstring>

#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"
#include "ops/strided_copy.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kStart = 0, kStep = 8 };

class Slice final : public Operator {
 public:
  explicit Slice(const OperatorContext& context)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_dims_(context.input(0).dims),
        out_dims_(context.output().dims),
        in_(in_dims_),
        out_(out_dims_) {
    for (std::size_t axis = 0; axis < kTensorRankMax; ++axis) {
      start_[axis] = context.attribute(kStart + axis);
      step_[axis] = context.attribute(kStep + axis);
    }
    whole_words_ = out_dims_.rank == 4 && start_[1] % 4 == 0 && step_[1] == 1;
  }

  void run(const Run& run) const noexcept override {
    for (std::int64_t n = 0; n < run.batch; ++n) {
      const act_t* const x = run.tensor<act_t>(x_) + n * in_.sample_step;
      act_t* const y = run.tensor<act_t>(y_) + n * out_.sample_step;
      if (whole_words_) {
        for (std::int64_t g = 0; g < out_.groups; ++g) {
          slice_plane(x + (start_[1] / 4 + g) * in_.plane_step, y + g * out_.plane_step);
        }
        continue;
      }
      for_each_element(out_dims_, [&](auto at) {
        const std::int64_t target = byte_of(out_, out_dims_, at);
        for (std::size_t axis = 1; axis < kTensorRankMax; ++axis) at[axis] = start_[axis] + at[axis] * step_[axis];
        y[target] = x[byte_of(in_, in_dims_, at)];
      });
    }
  }

 private:
  void slice_plane(const act_t* x, act_t* y) const noexcept {
    for (std::int64_t row = 0; row < out_dims_[2]; ++row) {
      const act_t* source = x + ((start_[2] + row * step_[2]) * in_dims_[3] + start_[3]) * 4;
      for (std::int64_t column = 0; column < out_dims_[3]; ++column, source += step_[3] * 4, y += 4)
        std::memcpy(y, source, 4);
    }
  }

  std::uint32_t x_, y_;
  Dims in_dims_, out_dims_;
  Layout in_, out_;
  std::array<std::int64_t, kTensorRankMax> start_{}, step_{};
  bool whole_words_ = false;  // channels are taken in whole words
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
