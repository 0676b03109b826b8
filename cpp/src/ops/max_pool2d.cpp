// SPDX-License-Identifier: Apache-2.0
// max_pool2d: an x8_maxpool per plane of 4 channels.
#include "ops/checks.h"
#include "ops/operator.h"
#include "ops/plane_pool.h"
#include "ops/window.h"

namespace edgeml {
namespace {

enum Attribute : int { kKernel = 0, kStride = 2, kDilation = 4, kPads = 6 };

class MaxPool2d final : public PlanePool<kernels::X8MaxpoolFn, kernels::X8MaxpoolArgs> {
 public:
  MaxPool2d(const OperatorContext& context, const Window& window)
      : PlanePool(context, context.kernels.x8_maxpool, window) {
    args_.dilation_h = window.dilation_h;
    args_.dilation_w = window.dilation_w;
  }
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
