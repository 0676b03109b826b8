// SPDX-License-Identifier: Apache-2.0
// mul: the product of two activations; the second one may have dims of 1, say [N, C, 1, 1] of a squeeze-and-excite
// block.
#include "ops/checks.h"
#include "ops/operand_broadcast.h"
#include "ops/operator.h"
#include "ops/plane_pairs.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kActMin = 0 };

class Mul final : public Operator {
 public:
  explicit Mul(const OperatorContext& context)
      : operands_(context),
        row_(context.kernels.qs8_vmul),
        args_{
            .a = nullptr,
            .b = nullptr,
            .out = nullptr,
            .n = 0,
            .zero_point_a = context.input(0).zero_point + kernels::kActOffset,
            .zero_point_b = context.input(1).zero_point + kernels::kActOffset,
            .multiplier = context.input(2).values<float>()[0],
            .b_is_word = operands_.broadcast.form() == Broadcast::Form::word_per_plane,
            .range = output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1)),
        } {}

  const char* kernel() const override { return row_.name; }
  std::int32_t in_place_inputs() const override { return operands_.in_place_inputs(); }
  Workspace workspace() const override {
    const bool expands = operands_.broadcast.form() == Broadcast::Form::any;
    return {.shared = expands ? operands_.broadcast.sample_bytes() : 0, .per_thread = 0};
  }

  void run(const Run& run) const noexcept override {
    if (operands_.broadcast.form() == Broadcast::Form::word_per_plane) {
      by_planes(run);
      return;
    }
    operands_.for_stretches(
        run, [&](const act_t* a, const act_t* b, act_t* y, std::int64_t bytes) { multiply(a, b, y, bytes); });
  }

 private:
  void multiply(const act_t* a, const act_t* b, act_t* y, std::int64_t bytes) const noexcept {
    kernels::QS8VmulArgs args = args_;
    args.a = a;
    args.b = b;
    args.out = y;
    args.n = bytes;
    row_.fn(args);
  }

  void by_planes(const Run& run) const noexcept {
    const Layout& full = operands_.full;
    const auto* const words = run.tensor<act_t>(operands_.b);
    const std::int64_t word_step = operands_.broadcast.small().sample_step;
    for_plane_pairs(run, {operands_.a, full}, {operands_.y, full},
                    [&](std::int64_t n, std::int64_t g, const act_t* a, act_t* y) {
                      multiply(a, words + n * word_step + g * 4, y, full.pixels * 4);
                    });
  }

  ElementwiseOperands operands_;
  kernels::KernelRow<kernels::QS8VmulFn> row_;
  kernels::QS8VmulArgs args_;
};

}  // namespace

OperatorResult make_mul(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(0), DType::s8));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(1), DType::s8));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), DType::s8));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 2, DType::f32, {1}));
  EDGEML_RETURN_IF_ERROR(check_same_dims(context, context.input(0), context.output()));
  EDGEML_RETURN_IF_ERROR(check_operand_broadcast(context, 1));
  EDGEML_RETURN_IF_ERROR(check_multipliers(context, 2));
  EDGEML_RETURN_IF_ERROR(check_act_range(context, kActMin));
  return std::make_unique<Mul>(context);
}

}  // namespace edgeml
