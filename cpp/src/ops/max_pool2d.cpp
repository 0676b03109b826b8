// SPDX-License-Identifier: Apache-2.0
// max_pool2d: an x8_maxpool per plane of 4 channels.
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"
#include "ops/window.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kKernel = 0, kStride = 2, kDilation = 4, kPads = 6 };

class MaxPool2d final : public Operator {
 public:
  MaxPool2d(const OperatorContext& context, const Window& window)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_(context.input(0).dims),
        out_(context.output().dims),
        row_(context.kernels.x8_maxpool),
        args_{
            .in = nullptr,
            .in_h = window.in_h,
            .in_w = window.in_w,
            .kernel_h = window.kernel_h,
            .kernel_w = window.kernel_w,
            .stride_h = window.stride_h,
            .stride_w = window.stride_w,
            .dilation_h = window.dilation_h,
            .dilation_w = window.dilation_w,
            .pad_top = window.pad_top,
            .pad_left = window.pad_left,
            .out_h = window.out_h,
            .out_w = window.out_w,
            .out = nullptr,
        } {}

  std::int64_t work_per_sample() const override {
    return out_.channels * out_.pixels * args_.kernel_h * args_.kernel_w;
  }
  const char* kernel() const override { return row_.name; }

  void run(const Run& run) const noexcept override {
    const std::int64_t planes = run.batch * in_.groups;
    for_ranges(run.parallel, planes, tile_count(run.parallel, planes, run.batch * in_.sample_step, kTileBytesMin),
               [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                 kernels::X8MaxpoolArgs args = args_;
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
  kernels::KernelRow<kernels::X8MaxpoolFn> row_;
  kernels::X8MaxpoolArgs args_{};
};

// True if every window along one axis has a tap inside the input.
bool every_window_inside(std::int32_t out, std::int32_t stride, std::int32_t dilation, std::int32_t kernel,
                         std::int32_t pad, std::int32_t in) {
  for (std::int64_t o = 0; o < out; ++o) {
    const std::int64_t first = o * stride - pad;
    const std::int64_t skipped = first < 0 ? ceil_div(-first, dilation) : 0;
    if (skipped >= kernel || first + skipped * dilation >= in) return false;
  }
  return true;
}

}  // namespace

OperatorResult make_max_pool2d(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(0), DType::s8, 4));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), DType::s8, 4));
  EDGEML_RETURN_IF_ERROR(check_same_quantization(context, context.input(0), context.output()));
  const Result<Window> window = read_window(context, {kKernel, kStride, kDilation, kPads}, 0, 0);
  if (!window.ok()) return window.error();
  const Window& w = window.value();
  EDGEML_RETURN_IF_ERROR(check_dims(context, context.output(), {context.input(0).dims[1], w.out_h, w.out_w}));
  if (!every_window_inside(w.out_h, w.stride_h, w.dilation_h, w.kernel_h, w.pad_top, w.in_h) ||
      !every_window_inside(w.out_w, w.stride_w, w.dilation_w, w.kernel_w, w.pad_left, w.in_w)) {
    return fail(ErrorCode::bad_attribute, where(context), ": a window lies in the padding alone");
  }
  return std::make_unique<MaxPool2d>(context, w);
}

}  // namespace edgeml
