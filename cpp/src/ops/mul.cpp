// SPDX-License-Identifier: Apache-2.0
// mul: the product of two activations; the second one may have dims of 1, say [N, C, 1, 1] of a squeeze-and-excite
// block.
#include "ops/operand_broadcast.h"
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kActMin = 0 };

class Mul final : public Operator {
 public:
  explicit Mul(const OperatorContext& context)
      : a_(context.node.inputs[0]),
        b_(context.node.inputs[1]),
        y_(context.node.outputs[0]),
        layout_(context.output().dims),
        broadcast_(context.input(1).dims, context.output().dims),
        row_(context.kernels.qs8_vmul),
        args_{
            .a = nullptr,
            .b = nullptr,
            .out = nullptr,
            .n = 0,
            .zero_point_a = context.input(0).zero_point + kernels::kActOffset,
            .zero_point_b = context.input(1).zero_point + kernels::kActOffset,
            .multiplier = context.input(2).values<float>()[0],
            .b_is_word = broadcast_.form() == Broadcast::Form::word_per_plane,
            .range = output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1)),
        } {}

  const char* kernel() const override { return row_.name; }
  std::int32_t in_place_inputs() const override { return broadcast_.form() == Broadcast::Form::same ? 2 : 1; }
  Workspace workspace() const override {
    return {.shared = broadcast_.form() == Broadcast::Form::any ? broadcast_.sample_bytes() : 0, .per_thread = 0};
  }

  void run(const Run& run) const noexcept override {
    switch (broadcast_.form()) {
      case Broadcast::Form::same:
        return same_dims(run, run.tensor<act_t>(a_), run.tensor<act_t>(b_), run.tensor<act_t>(y_),
                         run.batch * layout_.sample_step);
      case Broadcast::Form::word_per_plane:
        return by_planes(run);
      case Broadcast::Form::any:
        for (std::int64_t n = 0; n < run.batch; ++n) {
          auto* const expanded = reinterpret_cast<act_t*>(run.workspace);
          broadcast_.expand(run.tensor<act_t>(b_) + n * broadcast_.small().sample_step, expanded);
          const std::int64_t at = n * layout_.sample_step;
          same_dims(run, run.tensor<act_t>(a_) + at, expanded, run.tensor<act_t>(y_) + at, layout_.sample_step);
        }
    }
  }

 private:
  void same_dims(const Run& run, const act_t* a, const act_t* b, act_t* y, std::int64_t bytes) const noexcept {
    for_bytes(run.parallel, bytes, [&](std::int64_t begin, std::int64_t end) {
      kernels::QS8VmulArgs args = args_;
      args.a = a + begin;
      args.b = b + begin;
      args.out = y + begin;
      args.n = end - begin;
      row_.fn(args);
    });
  }

  void by_planes(const Run& run) const noexcept {
    const std::int64_t planes = run.batch * layout_.groups;
    const std::int64_t bytes = run.batch * layout_.sample_step;
    for_ranges(run.parallel, planes, tile_count(run.parallel, planes, bytes, kTileBytesMin),
               [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                 kernels::QS8VmulArgs args = args_;
                 args.n = layout_.pixels * 4;
                 for (std::int64_t plane = begin; plane < end; ++plane) {
                   const std::int64_t n = plane / layout_.groups;
                   const std::int64_t g = plane % layout_.groups;
                   const std::int64_t at = n * layout_.sample_step + g * layout_.plane_step;
                   args.a = run.tensor<act_t>(a_) + at;
                   args.out = run.tensor<act_t>(y_) + at;
                   args.b = run.tensor<act_t>(b_) + n * broadcast_.small().sample_step + g * 4;
                   row_.fn(args);
                 }
               });
  }

  std::uint32_t a_, b_, y_;
  Layout layout_;
  Broadcast broadcast_;
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
