// SPDX-License-Identifier: Apache-2.0
// add: two activations, byte by byte in memory order; the second one may have dims of 1.
#include "ops/operand_broadcast.h"
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kActMin = 0 };

class Add final : public Operator {
 public:
  explicit Add(const OperatorContext& context)
      : a_(context.node.inputs[0]),
        b_(context.node.inputs[1]),
        y_(context.node.outputs[0]),
        layout_(context.output().dims),
        broadcast_(context.input(1).dims, context.output().dims),
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
  std::int32_t in_place_inputs() const override { return broadcast_.form() == Broadcast::Form::same ? 2 : 1; }
  Workspace workspace() const override { return {.shared = broadcast_.sample_bytes(), .per_thread = 0}; }

  void run(const Run& run) const noexcept override {
    if (broadcast_.form() == Broadcast::Form::same) {
      same_dims(run, run.tensor<act_t>(a_), run.tensor<act_t>(b_), run.tensor<act_t>(y_),
                run.batch * layout_.sample_step);
      return;
    }
    for (std::int64_t n = 0; n < run.batch; ++n) {
      auto* const expanded = reinterpret_cast<act_t*>(run.workspace);
      broadcast_.expand(run.tensor<act_t>(b_) + n * broadcast_.small().sample_step, expanded);
      const std::int64_t at = n * layout_.sample_step;
      same_dims(run, run.tensor<act_t>(a_) + at, expanded, run.tensor<act_t>(y_) + at, layout_.sample_step);
    }
  }

 private:
  void same_dims(const Run& run, const act_t* a, const act_t* b, act_t* y, std::int64_t bytes) const noexcept {
    for_bytes(run.parallel, bytes, [&](std::int64_t begin, std::int64_t end) {
      kernels::QS8VaddArgs args = args_;
      args.a = a + begin;
      args.b = b + begin;
      args.out = y + begin;
      args.n = end - begin;
      row_.fn(args);
    });
  }

  std::uint32_t a_, b_, y_;
  Layout layout_;
  Broadcast broadcast_;
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
