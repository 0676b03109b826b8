// SPDX-License-Identifier: Apache-2.0
// transpose: the axes of a sample in another order.
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"
#include "ops/strided_copy.h"

namespace edgeml {
namespace {

using kernels::act_t;

class Transpose final : public Operator {
 public:
  explicit Transpose(const OperatorContext& context)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_dims_(context.input(0).dims),
        out_dims_(context.output().dims),
        in_(in_dims_),
        out_(out_dims_) {
    for (std::size_t axis = 0; axis < kTensorRankMax; ++axis)
      perm_[axis] = static_cast<std::size_t>(context.attribute(axis));
  }

  void run(const Run& run) const noexcept override {
    for (std::int64_t n = 0; n < run.batch; ++n) {
      const act_t* const x = run.tensor<act_t>(x_) + n * in_.sample_step;
      act_t* const y = run.tensor<act_t>(y_) + n * out_.sample_step;
      for_each_element(out_dims_, [&](const auto& at) {
        std::array<std::int64_t, kTensorRankMax> from{};
        for (std::size_t axis = 0; axis < kTensorRankMax; ++axis) from[perm_[axis]] = at[axis];
        y[byte_of(out_, out_dims_, at)] = x[byte_of(in_, in_dims_, from)];
      });
    }
  }

 private:
  std::uint32_t x_, y_;
  Dims in_dims_, out_dims_;
  Layout in_, out_;
  std::array<std::size_t, kTensorRankMax> perm_{};
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
