// SPDX-License-Identifier: Apache-2.0
// layer_norm: the channels of each pixel, brought to mean 0 and variance 1, then scaled and shifted.
#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kActMin = 0 };

class LayerNorm final : public Operator {
 public:
  explicit LayerNorm(const OperatorContext& context)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        layout_(context.output().dims),
        gain_(padded(context.input(1).values<float>())),
        shift_(padded(context.input(2).values<float>())),
        row_(context.kernels.qs8_layernorm),
        args_{
            .in = nullptr,
            .out = nullptr,
            .plane_step = layout_.plane_step,
            .pixels = 0,
            .channels = static_cast<std::int32_t>(layout_.channels),
            .zero_point = context.input(0).zero_point + kernels::kActOffset,
            .epsilon = context.input(3).values<float>()[0],
            .gain = gain_.data(),
            .shift = shift_.data(),
            .range = output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1)),
        } {}

  const char* kernel() const override { return row_.name; }
  std::int32_t in_place_inputs() const override { return 1; }

  void run(const Run& run) const noexcept override {
    const std::int64_t runs = ceil_div(layout_.pixels, kPixelsPerLine);
    for (std::int64_t n = 0; n < run.batch; ++n) {
      for_ranges(run.parallel, runs, tile_count(run.parallel, runs, layout_.sample_step, kTileBytesMin),
                 [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                   const std::int64_t first = begin * kPixelsPerLine;
                   kernels::QS8LayernormArgs args = args_;
                   args.in = run.tensor<act_t>(x_) + n * layout_.sample_step + first * 4;
                   args.out = run.tensor<act_t>(y_) + n * layout_.sample_step + first * 4;
                   args.pixels = std::min(end * kPixelsPerLine, layout_.pixels) - first;
                   row_.fn(args);
                 });
    }
  }

 private:
  static constexpr std::int64_t kPixelsPerLine = 16;

  static std::vector<float> padded(std::span<const float> values) {
    std::vector<float> result(values.begin(), values.end());
    result.resize(static_cast<std::size_t>(round_up(static_cast<std::int64_t>(values.size()), 4)));
    return result;
  }

  std::uint32_t x_, y_;
  Layout layout_;
  std::vector<float> gain_, shift_;
  kernels::KernelRow<kernels::QS8LayernormFn> row_;
  kernels::QS8LayernormArgs args_;
};

}  // namespace

OperatorResult make_layer_norm(const OperatorContext& context) {
  constexpr float kGainMax = 0x1p16F;   // exclusive: with epsilon normal, no product leaves float32
  constexpr float kShiftMax = 0x1p30F;  // exclusive
  const Tensor& x = context.input(0);
  EDGEML_RETURN_IF_ERROR(check_activation(context, x, DType::s8));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), DType::s8));
  EDGEML_RETURN_IF_ERROR(check_same_dims(context, x, context.output()));
  if (x.dims.rank < 2 || x.dims[1] > kernels::kLayernormChannelsMax) {
    return fail(ErrorCode::shape_mismatch, where(context), ": the input has no axis of 1..",
                kernels::kLayernormChannelsMax, " channels");
  }
  EDGEML_RETURN_IF_ERROR(check_constant(context, 1, DType::f32, {x.dims[1]}));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 2, DType::f32, {x.dims[1]}));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 3, DType::f32, {1}));
  EDGEML_RETURN_IF_ERROR(check_act_range(context, kActMin));
  for (const float gain : context.input(1).values<float>()) {
    if (!(std::fabs(gain) < kGainMax)) return fail(ErrorCode::bad_multiplier, where(context), ": a gain is too large");
  }
  for (const float shift : context.input(2).values<float>()) {
    if (!(std::fabs(shift) < kShiftMax)) {
      return fail(ErrorCode::bad_multiplier, where(context), ": a shift is too large");
    }
  }
  const float epsilon = context.input(3).values<float>()[0];
  if (!(std::isnormal(epsilon) && epsilon > 0 && epsilon < kShiftMax)) {
    return fail(ErrorCode::bad_multiplier, where(context), ": epsilon is not a normal number in (0, 2^30)");
  }
  return std::make_unique<LayerNorm>(context);
}

}  // namespace edgeml
