// SPDX-License-Identifier: Apache-2.0
// concat: activations of one scale and zero point, or of float32, side by side along an axis.
#include <cstring>
#include <vector>

#include "ops/box_copy.h"
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"

namespace edgeml {
namespace {

using kernels::act_t;

class Concat final : public Operator {
 public:
  explicit Concat(const OperatorContext& context)
      : y_(context.node.outputs[0]), out_(context.output().dims), axis_(context.attribute(0)) {
    std::int64_t first = 0;
    for (std::size_t i = 0; i < context.node.inputs.size(); ++i) {
      const Dims& dims = context.input(i).dims;
      std::vector<BoxCopy::Axis> axes;
      for (std::int32_t axis = 1; axis < dims.rank; ++axis) {
        axes.push_back({dims[axis], axis, 0, 1, axis == axis_ ? first : 0});
      }
      parts_.push_back({context.node.inputs[i], Layout(dims), first, BoxCopy(dims, context.output().dims, axes)});
      first += dims[axis_];
    }
  }

  void run(const Run& run) const noexcept override {
    for (std::int64_t n = 0; n < run.batch; ++n) {
      act_t* const y = run.tensor<act_t>(y_) + n * out_.sample_step;
      for (const Part& part : parts_) {
        const act_t* const x = run.tensor<act_t>(part.tensor) + n * part.layout.sample_step;
        if (axis_ == 1 && part.first % 4 == 0) {
          copy_planes(part, x, y);
        } else {
          part.copy.run(x, y);
        }
      }
    }
  }

 private:
  struct Part {
    std::uint32_t tensor;
    Layout layout;
    std::int64_t first;  // where it begins along the axis
    BoxCopy copy;
  };

  // Whole words; the bytes of absent channels in a part's last word are overwritten by the next part.
  void copy_planes(const Part& part, const act_t* x, act_t* y) const noexcept {
    for (std::int64_t g = 0; g < part.layout.groups; ++g) {
      std::memcpy(y + (part.first / 4 + g) * out_.plane_step, x + g * part.layout.plane_step,
                  static_cast<std::size_t>(out_.pixels) * 4);
    }
  }

  std::uint32_t y_;
  Layout out_;
  std::int32_t axis_;
  std::vector<Part> parts_;
};

// Dense float32: runs of the extents from the axis on, one of each part in turn.
class ConcatF32 final : public Operator {
 public:
  explicit ConcatF32(const OperatorContext& context) : y_(context.node.outputs[0]) {
    const Dims& y = context.output().dims;
    for (std::int32_t axis = 1; axis < context.attribute(0); ++axis) rows_ *= y[axis];
    for (std::size_t i = 0; i < context.node.inputs.size(); ++i) {
      parts_.push_back({context.node.inputs[i], context.input(i).dims.elements_per_sample() / rows_});
    }
  }

  void run(const Run& run) const noexcept override {
    float* y = run.tensor<float>(y_);
    for (std::int64_t row = 0; row < run.batch * rows_; ++row) {
      for (const Part& part : parts_) {
        const auto bytes = static_cast<std::size_t>(part.count) * sizeof(float);
        std::memcpy(y, run.tensor<float>(part.tensor) + row * part.count, bytes);
        y += part.count;
      }
    }
  }

 private:
  struct Part {
    std::uint32_t tensor;
    std::int64_t count;  // elements of one run
  };

  std::uint32_t y_;
  std::int64_t rows_ = 1;  // runs in a sample
  std::vector<Part> parts_;
};

}  // namespace

OperatorResult make_concat(const OperatorContext& context) {
  const Tensor& y = context.output();
  EDGEML_RETURN_IF_ERROR(check_activation(context, y, y.dtype == DType::f32 ? DType::f32 : DType::s8));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, 0, 1, 1, y.dims.rank - 1));
  const std::int32_t axis = context.attribute(0);
  std::int64_t sum = 0;
  for (std::size_t i = 0; i < context.node.inputs.size(); ++i) {
    const Tensor& x = context.input(i);
    EDGEML_RETURN_IF_ERROR(check_activation(context, x, y.dtype, y.dims.rank));
    EDGEML_RETURN_IF_ERROR(check_same_quantization(context, x, y));
    Dims expected = y.dims;
    expected[axis] = x.dims[axis];
    if (x.dims != expected)
      return fail(ErrorCode::shape_mismatch, where(context), ": \"", x.name, "\" does not fit the output beside axis ",
                  axis);
    sum += x.dims[axis];
  }
  if (sum != y.dims[axis]) {
    return fail(ErrorCode::shape_mismatch, where(context), ": the inputs have ", sum, " along axis ", axis,
                ", the output has ", y.dims[axis]);
  }
  if (y.dtype == DType::f32) return std::make_unique<ConcatF32>(context);
  return std::make_unique<Concat>(context);
}

}  // namespace edgeml
