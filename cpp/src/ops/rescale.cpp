// SPDX-License-Identifier: Apache-2.0
// rescale: another scale and zero point for the same values, byte by byte in memory order.
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kActMin = 0 };

class Rescale final : public Operator {
 public:
  explicit Rescale(const OperatorContext& context)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        layout_(context.output().dims),
        row_(context.kernels.qs8_rescale),
        args_{
            .in = nullptr,
            .out = nullptr,
            .n = 0,
            .zero_point = context.input(0).zero_point + kernels::kActOffset,
            .multiplier = context.input(1).values<float>()[0],
            .range = output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1)),
        } {}

  const char* kernel() const override { return row_.name; }
  std::int32_t in_place_inputs() const override { return 1; }

  void run(const Run& run) const noexcept override {
    for_bytes(run.parallel, run.batch * layout_.sample_step, [&](std::int64_t begin, std::int64_t end) {
      kernels::QS8RescaleArgs args = args_;
      args.in = run.tensor<act_t>(x_) + begin;
      args.out = run.tensor<act_t>(y_) + begin;
      args.n = end - begin;
      row_.fn(args);
    });
  }

 private:
  std::uint32_t x_, y_;
  Layout layout_;
  kernels::KernelRow<kernels::QS8RescaleFn> row_;
  kernels::QS8RescaleArgs args_;
};

}  // namespace

OperatorResult make_rescale(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(0), DType::s8));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), DType::s8));
  EDGEML_RETURN_IF_ERROR(check_same_dims(context, context.input(0), context.output()));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 1, DType::f32, {1}));
  EDGEML_RETURN_IF_ERROR(check_multipliers(context, 1));
  EDGEML_RETURN_IF_ERROR(check_act_range(context, kActMin));
  return std::make_unique<Rescale>(context);
}

}  // namespace edgeml
