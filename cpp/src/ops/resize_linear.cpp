// SPDX-License-Identifier: Apache-2.0
// resize_linear: each output pixel is a weighted mean of two rows by two columns; the converter chose them and their
// integer weights, whose sum along an axis is 2^10.
#include <vector>

#include "kernels/requantize.h"
#include "ops/checks.h"
#include "ops/index_table.h"
#include "ops/operator.h"
#include "ops/plane_pairs.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kActMin = 0 };

constexpr std::int32_t kWeightSum = 1 << 10;

// Two positions for each output position, and the weight of the second one.
struct Taps {
  std::vector<std::int32_t> position, weight;

  Taps(const OperatorContext& context, std::size_t positions, std::size_t weights) {
    const auto p = context.input(positions).values<std::int32_t>();
    const auto w = context.input(weights).values<std::int32_t>();
    position.assign(p.begin(), p.end());
    weight.assign(w.begin(), w.end());
  }
};

class ResizeLinear final : public Operator {
 public:
  explicit ResizeLinear(const OperatorContext& context)
      : x_{context.node.inputs[0], Layout(context.input(0).dims)},
        y_{context.node.outputs[0], Layout(context.output().dims)},
        in_w_(context.input(0).dims[3]),
        rows_(context, 1, 2),
        columns_(context, 3, 4),
        zero_point_(context.input(0).zero_point + kernels::kActOffset),
        multiplier_(context.input(5).values<float>()[0]),
        range_(output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1))) {}

  std::int64_t work_per_sample() const override { return y_.layout.channels * y_.layout.pixels * 4; }

  void run(const Run& run) const noexcept override {
    for_plane_pairs(run, x_, y_, [&](std::int64_t, std::int64_t, const act_t* x, act_t* y) { plane(x, y); });
  }

 private:
  void plane(const act_t* x, act_t* y) const noexcept {
    for (std::size_t i = 0; i < rows_.weight.size(); ++i) {
      const act_t* const upper = x + rows_.position[2 * i] * in_w_ * 4;
      const act_t* const lower = x + rows_.position[2 * i + 1] * in_w_ * 4;
      for (std::size_t j = 0; j < columns_.weight.size(); ++j) {
        const std::int64_t left = std::int64_t{4} * columns_.position[2 * j];
        const std::int64_t right = std::int64_t{4} * columns_.position[2 * j + 1];
        for (std::int64_t c = 0; c < 4; ++c) {
          const std::int32_t above = mean(upper[left + c], upper[right + c], columns_.weight[j]);
          const std::int32_t below = mean(lower[left + c], lower[right + c], columns_.weight[j]);
          *y++ = kernels::requantize((kWeightSum - rows_.weight[i]) * above + rows_.weight[i] * below, multiplier_,
                                     range_);
        }
      }
    }
  }

  std::int32_t mean(act_t first, act_t second, std::int32_t weight) const noexcept {
    return (kWeightSum - weight) * (first - zero_point_) + weight * (second - zero_point_);
  }

  PlaneTensor x_, y_;
  std::int64_t in_w_;
  Taps rows_, columns_;
  std::int32_t zero_point_;
  float multiplier_;
  kernels::OutputRange range_;
};

Status check_taps(const OperatorContext& context, std::size_t input, std::int64_t count, std::int64_t size) {
  EDGEML_RETURN_IF_ERROR(check_indices(context, input, 2 * count, size));
  return check_indices(context, input + 1, count, kWeightSum + 1);
}

}  // namespace

OperatorResult make_resize_linear(const OperatorContext& context) {
  const Tensor& x = context.input(0);
  const Tensor& y = context.output();
  EDGEML_RETURN_IF_ERROR(check_activation(context, x, DType::s8, 4));
  EDGEML_RETURN_IF_ERROR(check_activation(context, y, DType::s8, 4));
  EDGEML_RETURN_IF_ERROR(check_dims(context, y, {x.dims[1], y.dims[2], y.dims[3]}));
  EDGEML_RETURN_IF_ERROR(check_taps(context, 1, y.dims[2], x.dims[2]));
  EDGEML_RETURN_IF_ERROR(check_taps(context, 3, y.dims[3], x.dims[3]));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 5, DType::f32, {1}));
  EDGEML_RETURN_IF_ERROR(check_multipliers(context, 5));
  EDGEML_RETURN_IF_ERROR(check_act_range(context, kActMin));
  return std::make_unique<ResizeLinear>(context);
}

}  // namespace edgeml
