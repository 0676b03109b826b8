// SPDX-License-Identifier: Apache-2.0
// reshape: the same elements in row-major order under other dims; nothing moves where the layout stays.
#include <algorithm>
#include <cstring>

#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"

namespace edgeml {
namespace {

using kernels::act_t;

class Reshape final : public Operator {
 public:
  explicit Reshape(const OperatorContext& context)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_(context.input(0).dims),
        out_(context.output().dims) {}

  std::int32_t in_place_inputs() const override { return in_ == out_ ? 1 : 0; }

  void run(const Run& run) const noexcept override {
    const act_t* const x = run.tensor<act_t>(x_);
    act_t* const y = run.tensor<act_t>(y_);
    if (in_ == out_) {
      if (x != y) std::memcpy(y, x, static_cast<std::size_t>(run.batch * in_.sample_step));
      return;
    }
    for (std::int64_t n = 0; n < run.batch; ++n) move_sample(x + n * in_.sample_step, y + n * out_.sample_step);
  }

 private:
  // Walks both layouts in row-major order of the elements, in runs that lie in one channel of either.
  void move_sample(const act_t* x, act_t* y) const noexcept {
    std::int64_t to_c = 0;
    std::int64_t to_p = 0;
    for (std::int64_t c = 0; c < in_.channels; ++c) {
      for (std::int64_t p = 0; p < in_.pixels;) {
        const std::int64_t run = std::min(in_.pixels - p, out_.pixels - to_p);
        const act_t* const from = x + in_.byte_of(c, p);
        act_t* const to = y + out_.byte_of(to_c, to_p);
        for (std::int64_t i = 0; i < run; ++i) to[i * 4] = from[i * 4];
        p += run;
        to_p += run;
        if (to_p == out_.pixels) {
          to_p = 0;
          ++to_c;
        }
      }
    }
  }

  std::uint32_t x_, y_;
  Layout in_, out_;
};

}  // namespace

OperatorResult make_reshape(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(0), DType::s8));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), DType::s8));
  EDGEML_RETURN_IF_ERROR(check_same_quantization(context, context.input(0), context.output()));
  if (context.input(0).dims.elements_per_sample() != context.output().dims.elements_per_sample()) {
    return fail(ErrorCode::shape_mismatch, where(context), ": ", context.input(0).dims.elements_per_sample(),
                " elements cannot become ", context.output().dims.elements_per_sample());
  }
  return std::make_unique<Reshape>(context);
}

}  // namespace edgeml
