// SPDX-License-Identifier: Apache-2.0
// add: two activations, byte by byte in memory order; the second one may have dims of 1.
#include "ops/checks.h"
#include "ops/operand_broadcast.h"
#include "ops/operator.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kActMin = 0 };

class Add final : public Operator {
 public:
  explicit Add(const OperatorContext& context)
      : operands_(context),
        row_(context.kernels.qs8_vadd),
        args_{
            .a = nullptr,
            .b = nullptr,
            .out = nullptr,
            .n = 0,
            .zero_point_a = context.input(0).zero_point + kernels::kActOffset,
            .zero_point_b = context.input(1).zero_point + kernels::kActOffset,
            .multiplier_a = context.input(2).values<float>()[0],
            .multiplier_b = context.input(2).values<float>()[1],
            .range = output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1)),
        } {}

  const char* kernel() const override { return row_.name; }
  std::int32_t in_place_inputs() const override { return operands_.in_place_inputs(); }
  Workspace workspace() const override { return {.shared = operands_.broadcast.sample_bytes(), .per_thread = 0}; }

  void run(const Run& run) const noexcept override {
    operands_.for_stretches(run, [&](const act_t* a, const act_t* b, act_t* y, std::int64_t bytes) {
      kernels::QS8VaddArgs args = args_;
      args.a = a;
      args.b = b;
      args.out = y;
      args.n = bytes;
      row_.fn(args);
    });
  }

 private:
  ElementwiseOperands operands_;
  kernels::KernelRow<kernels::QS8VaddFn> row_;
  kernels::QS8VaddArgs args_;
};

}  // namespace

OperatorResult make_add(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(0), DType::s8));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(1), DType::s8));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), DType::s8));
  EDGEML_RETURN_IF_ERROR(check_same_dims(context, context.input(0), context.output()));
  EDGEML_RETURN_IF_ERROR(check_operand_broadcast(context, 1));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 2, DType::f32, {2}));
  EDGEML_RETURN_IF_ERROR(check_multipliers(context, 2, true));
  EDGEML_RETURN_IF_ERROR(check_act_range(context, kActMin));
  return std::make_unique<Add>(context);
}

}  // namespace edgeml
