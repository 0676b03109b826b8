// SPDX-License-Identifier: Apache-2.0
// The second operand of an elementwise operator where it is smaller than the first: dims of 1 stand for every element.
#pragma once

#include <algorithm>

#include "ops/checks.h"
#include "ops/operator.h"
#include "ops/strided_copy.h"

namespace edgeml {

class Broadcast {
 public:
  enum class Form { same, word_per_plane, any };

  Broadcast(const Dims& small, const Dims& full) : small_(small), full_(full), in_(small), out_(full) {
    if (small == full) {
      form_ = Form::same;
    } else if (in_.pixels == 1 && in_.channels == out_.channels) {
      form_ = Form::word_per_plane;
    }
  }

  Form form() const { return form_; }
  const Layout& small() const { return in_; }

  // Bytes that expand() fills for one sample; 0 where the operand has its full size already.
  std::int64_t sample_bytes() const { return form_ == Form::same ? 0 : out_.sample_step; }

  // Repeats one sample of the small operand over the full dims.
  void expand(const kernels::act_t* from, kernels::act_t* to) const noexcept {
    for_each_element(full_, [&](auto at) {
      const std::int64_t target = byte_of(out_, full_, at);
      for (std::int32_t axis = 1; axis < small_.rank; ++axis) {
        if (small_[axis] == 1) at[static_cast<std::size_t>(axis)] = 0;
      }
      to[target] = from[byte_of(in_, small_, at)];
    });
  }

 private:
  Dims small_, full_;
  Layout in_, out_;
  Form form_ = Form::any;
};

// The operands of one node: y = a op b, b broadcast.
struct ElementwiseOperands {
  std::uint32_t a, b, y;
  Broadcast broadcast;
  Layout full;

  explicit ElementwiseOperands(const OperatorContext& context)
      : a(context.node.inputs[0]),
        b(context.node.inputs[1]),
        y(context.node.outputs[0]),
        broadcast(context.input(1).dims, context.output().dims),
        full(context.output().dims) {}

  // body(a, b, y, bytes) over stretches of equal length, b expanded to the workspace where it is smaller.
  template <class Body>
  void for_stretches(const Run& run, const Body& body) const noexcept {
    using kernels::act_t;
    const auto share = [&](const act_t* from_a, const act_t* from_b, act_t* to, std::int64_t bytes) {
      for_bytes(run.parallel, bytes, [&](std::int64_t begin, std::int64_t end) {
        body(from_a + begin, from_b + begin, to + begin, end - begin);
      });
    };
    if (broadcast.form() == Broadcast::Form::same) {
      share(run.tensor<act_t>(a), run.tensor<act_t>(b), run.tensor<act_t>(y), run.batch * full.sample_step);
      return;
    }
    for (std::int64_t n = 0; n < run.batch; ++n) {
      auto* const expanded = reinterpret_cast<act_t*>(run.workspace);
      broadcast.expand(run.tensor<act_t>(b) + n * broadcast.small().sample_step, expanded);
      const std::int64_t at = n * full.sample_step;
      share(run.tensor<act_t>(a) + at, expanded, run.tensor<act_t>(y) + at, full.sample_step);
    }
  }

  // a may become y in place; b too where it is as large.
  std::int32_t in_place_inputs() const { return broadcast.form() == Broadcast::Form::same ? 2 : 1; }
};

// Input `index` has the dims of the output, or 1 in place of some of them beside the batch.
inline Status check_operand_broadcast(const OperatorContext& context, std::size_t index) {
  const Dims& small = context.input(index).dims;
  const Dims& full = context.output().dims;
  bool fits = small.rank == full.rank && small[0] == full[0];
  for (std::int32_t axis = 1; fits && axis < full.rank; ++axis) fits = small[axis] == full[axis] || small[axis] == 1;
  if (fits) return Done{};
  return fail(ErrorCode::shape_mismatch, where(context), ": \"", context.input(index).name,
              "\" can not be broadcast to \"", context.output().name, "\"");
}

}  // namespace edgeml
