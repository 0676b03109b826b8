// SPDX-License-Identifier: Apache-2.0
// dequantize: C4P -> dense float32 planes.
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"

namespace edgeml {
namespace {

using kernels::act_t;

class Dequantize final : public Operator {
 public:
  explicit Dequantize(const OperatorContext& context)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_(context.input(0).dims),
        scale_(context.input(0).scale),
        stored_zero_point_(context.input(0).zero_point + kernels::kActOffset),
        row_(context.kernels.qs8_f32_dequantize) {}

  const char* kernel() const override { return row_.name; }

  void run(const Run& run) const noexcept override {
    for (std::int64_t n = 0; n < run.batch; ++n) {
      row_.fn({
          .in = run.tensor<act_t>(x_) + n * in_.sample_step,
          .in_plane_step = in_.plane_step,
          .channels = static_cast<std::int32_t>(in_.channels),
          .pixels = in_.pixels,
          .zero_point = stored_zero_point_,
          .scale = scale_,
          .out = run.tensor<float>(y_) + n * in_.channels * in_.pixels,
      });
    }
  }

 private:
  std::uint32_t x_, y_;
  Layout in_;
  float scale_;
  std::int32_t stored_zero_point_;
  kernels::KernelRow<kernels::QS8F32DequantizeFn> row_;
};

}  // namespace

OperatorResult make_dequantize(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(0), DType::s8));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), DType::f32));
  EDGEML_RETURN_IF_ERROR(check_same_dims(context, context.input(0), context.output()));
  return std::make_unique<Dequantize>(context);
}

}  // namespace edgeml
