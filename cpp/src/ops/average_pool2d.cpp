// SPDX-License-Identifier: Apache-2.0
// average_pool2d: a qs8_avgpool per plane of 4 channels.
#include <vector>

#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"
#include "ops/window.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kKernel = 0, kStride = 2, kPads = 4, kActMin = 8 };

class AveragePool2d final : public Operator {
 public:
  AveragePool2d(const OperatorContext& context, const Window& window)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_(context.input(0).dims),
        out_(context.output().dims),
        row_(context.kernels.qs8_avgpool) {
    const auto values = context.input(1).values<float>();
    multiplier_.assign(values.begin(), values.end());
    args_ = {
        .in = nullptr,
        .in_h = window.in_h,
        .in_w = window.in_w,
        .kernel_h = window.kernel_h,
        .kernel_w = window.kernel_w,
        .stride_h = window.stride_h,
        .stride_w = window.stride_w,
        .pad_top = window.pad_top,
        .pad_left = window.pad_left,
        .out_h = window.out_h,
        .out_w = window.out_w,
        .zero_point = context.input(0).zero_point + kernels::kActOffset,
        .multiplier = multiplier_.data(),
        .out = nullptr,
        .range = output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1)),
    };
  }

  std::int64_t work_per_sample() const override {
    return out_.channels * out_.pixels * args_.kernel_h * args_.kernel_w;
  }
  const char* kernel() const override { return row_.name; }

  void run(const Run& run) const noexcept override {
    const std::int64_t planes = run.batch * in_.groups;
    for_ranges(run.parallel, planes, tile_count(run.parallel, planes, run.batch * in_.sample_step, kTileBytesMin),
               [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                 kernels::QS8AvgpoolArgs args = args_;
                 for (std::int64_t plane = begin; plane < end; ++plane) {
                   const std::int64_t n = plane / in_.groups;
                   const std::int64_t g = plane % in_.groups;
                   args.in = run.tensor<act_t>(x_) + n * in_.sample_step + g * in_.plane_step;
                   args.out = run.tensor<act_t>(y_) + n * out_.sample_step + g * out_.plane_step;
                   row_.fn(args);
                 }
               });
  }

 private:
  std::uint32_t x_, y_;
  Layout in_, out_;
  kernels::KernelRow<kernels::QS8AvgpoolFn> row_;
  std::vector<float> multiplier_;
  kernels::QS8AvgpoolArgs args_{};
};

}  // namespace

OperatorResult make_average_pool2d(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(0), DType::s8, 4));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), DType::s8, 4));
  EDGEML_RETURN_IF_ERROR(check_act_range(context, kActMin));
  const Result<Window> window = read_window(context, {kKernel, kStride, -1, kPads}, 0, 0);
  if (!window.ok()) return window.error();
  const Window& w = window.value();
  EDGEML_RETURN_IF_ERROR(check_dims(context, context.output(), {context.input(0).dims[1], w.out_h, w.out_w}));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 1, DType::f32, {std::int64_t{w.kernel_h} * w.kernel_w}));
  EDGEML_RETURN_IF_ERROR(check_multipliers(context, 1));
  // The sum of a window must stay inside int32: 255 * taps < 2^31 with 4096 * 4096 taps would not.
  if (std::int64_t{255} * w.kernel_h * w.kernel_w > INT32_MAX) {
    return fail(ErrorCode::accumulator_overflow, where(context), ": the sum of a window of ", w.kernel_h, " x ",
                w.kernel_w, " can leave int32");
  }
  return std::make_unique<AveragePool2d>(context, w);
}

}  // namespace edgeml
