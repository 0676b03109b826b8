// SPDX-License-Identifier: Apache-2.0
// The geometry of a sliding window: how convolutions and pools read their attributes, and what output it gives.
#pragma once

#include <cstdint>

#include "kernels/pad_plane.h"
#include "ops/checks.h"
#include "ops/operator.h"

namespace edgeml {

inline constexpr std::int32_t kWindowMax = 4096;  // extents, strides and dilations; pads too

struct Window {
  std::int32_t in_h, in_w, out_h, out_w;
  std::int32_t kernel_h, kernel_w, stride_h, stride_w, dilation_h, dilation_w;
  std::int32_t pad_top, pad_left, pad_bottom, pad_right;

  // Extent of the input rows and columns that the outputs touch, padding included.
  std::int32_t reach_h() const { return (out_h - 1) * stride_h + (kernel_h - 1) * dilation_h + 1; }
  std::int32_t reach_w() const { return (out_w - 1) * stride_w + (kernel_w - 1) * dilation_w + 1; }
  // A plane one word wide is a row stood on end, and so is a window over it: in memory they are the same.
  bool upright() const { return in_w == 1 && out_w == 1 && kernel_w == 1 && pad_left == 0 && pad_right == 0; }
  Window laid_down() const {
    return {.in_h = in_w,
            .in_w = in_h,
            .out_h = out_w,
            .out_w = out_h,
            .kernel_h = kernel_w,
            .kernel_w = kernel_h,
            .stride_h = stride_w,
            .stride_w = stride_h,
            .dilation_h = dilation_w,
            .dilation_w = dilation_h,
            .pad_top = pad_left,
            .pad_left = pad_top,
            .pad_bottom = pad_right,
            .pad_right = pad_bottom};
  }
  // How the input lies in a copy that has the padding in it.
  kernels::PlanePadding padding() const { return {in_h, in_w, pad_top, pad_left, reach_h(), reach_w()}; }
  bool padded() const { return pad_top > 0 || pad_left > 0 || reach_h() > in_h || reach_w() > in_w; }
};

// Where a node's attributes stand; -1: the window has no such attribute and it is 1.
struct WindowAttributes {
  int kernel, stride, dilation, pads;
};

// Checks ranges and the output's height and width (floor of ONNX's formula); kernel extents come from the weights where
// attributes.kernel is -1. x and y must have rank 4 already.
inline Result<Window> read_window(const OperatorContext& context, const WindowAttributes& attributes,
                                  std::int64_t kernel_h, std::int64_t kernel_w) {
  const auto pair = [&](int first, std::size_t which) {
    return first < 0 ? 1 : context.attribute(static_cast<std::size_t>(first) + which);
  };
  for (const int first : {attributes.kernel, attributes.stride, attributes.dilation}) {
    if (first >= 0)
      EDGEML_RETURN_IF_ERROR(check_attribute_range(context, static_cast<std::size_t>(first), 2, 1, kWindowMax));
  }
  const auto pads = static_cast<std::size_t>(attributes.pads);
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, pads, 4, 0, kWindowMax));
  if (attributes.kernel >= 0) {
    kernel_h = pair(attributes.kernel, 0);
    kernel_w = pair(attributes.kernel, 1);
  }
  if (kernel_h > kWindowMax || kernel_w > kWindowMax) {
    return fail(ErrorCode::bad_attribute, where(context), ": a window of ", kernel_h, " x ", kernel_w,
                ", at most 4096 x 4096 is allowed");
  }
  const Dims& x = context.input(0).dims;
  const Dims& y = context.output().dims;
  const std::int32_t pad[4] = {context.attribute(pads), context.attribute(pads + 1), context.attribute(pads + 2),
                               context.attribute(pads + 3)};
  const std::int64_t kernel[2] = {kernel_h, kernel_w};
  for (std::size_t axis = 0; axis < 2; ++axis) {
    const std::int64_t window = (kernel[axis] - 1) * pair(attributes.dilation, axis) + 1;
    const std::int64_t in = x[2 + static_cast<std::int32_t>(axis)];
    const std::int64_t room = in + pad[axis] + pad[axis + 2] - window;
    if (pad[axis] >= window || pad[axis + 2] >= window) {
      return fail(ErrorCode::bad_attribute, where(context), ": a pad is not smaller than the window of ", window);
    }
    const std::int64_t out = room < 0 ? 0 : room / pair(attributes.stride, axis) + 1;
    if (in > INT32_MAX / 4 || y[2 + static_cast<std::int32_t>(axis)] != out) {
      return fail(ErrorCode::shape_mismatch, where(context), ": axis ", 2 + axis, " of the output is ",
                  y[2 + static_cast<std::int32_t>(axis)], ", the window gives ", out);
    }
  }
  const auto narrow = [](std::int64_t value) { return static_cast<std::int32_t>(value); };
  return Window{
      .in_h = narrow(x[2]),
      .in_w = narrow(x[3]),
      .out_h = narrow(y[2]),
      .out_w = narrow(y[3]),
      .kernel_h = narrow(kernel_h),
      .kernel_w = narrow(kernel_w),
      .stride_h = pair(attributes.stride, 0),
      .stride_w = pair(attributes.stride, 1),
      .dilation_h = pair(attributes.dilation, 0),
      .dilation_w = pair(attributes.dilation, 1),
      .pad_top = pad[0],
      .pad_left = pad[1],
      .pad_bottom = pad[2],
      .pad_right = pad[3],
  };
}

}  // namespace edgeml
