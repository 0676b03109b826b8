// SPDX-License-Identifier: Apache-2.0
// quantize: dense float32 planes -> C4P.
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"

namespace edgeml {
namespace {

using kernels::act_t;

class Quantize final : public Operator {
 public:
  explicit Quantize(const OperatorContext& context)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        out_(context.output().dims),
        scale_(context.output().scale),
        row_(context.kernels.f32_qs8_quantize),
        range_(output_range(context.output(), -128, 127)) {}

  const char* kernel() const override { return row_.name; }

  void run(const Run& run) const noexcept override {
    const std::int64_t planes = run.batch * out_.groups;
    for_ranges(run.parallel, planes, tile_count(run.parallel, planes, planes * out_.pixels * 16, kTileBytesMin),
               [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                 // A range may span samples; each piece of it lies in one.
                 for (std::int64_t at = begin; at < end;) {
                   const std::int64_t n = at / out_.groups;
                   const std::int64_t first = at % out_.groups;
                   const std::int64_t last = std::min(out_.groups, first + end - at);
                   quantize_groups(run, n, first, last);
                   at += last - first;
                 }
               });
  }

 private:
  void quantize_groups(const Run& run, std::int64_t n, std::int64_t first, std::int64_t last) const noexcept {
    const std::int64_t channel = first * 4;
    row_.fn({
        .in = run.tensor<float>(x_) + (n * out_.channels + channel) * out_.pixels,
        .channels = static_cast<std::int32_t>(std::min(last * 4, out_.channels) - channel),
        .pixels = out_.pixels,
        .scale = scale_,
        .out = run.tensor<act_t>(y_) + n * out_.sample_step + first * out_.plane_step,
        .out_plane_step = out_.plane_step,
        .range = range_,
    });
  }

  std::uint32_t x_, y_;
  Layout out_;
  float scale_;
  kernels::KernelRow<kernels::F32QS8QuantizeFn> row_;
  kernels::OutputRange range_;
};

}  // namespace

OperatorResult make_quantize(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(0), DType::f32));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), DType::s8));
  EDGEML_RETURN_IF_ERROR(check_same_dims(context, context.input(0), context.output()));
  return std::make_unique<Quantize>(context);
}

}  // namespace edgeml
