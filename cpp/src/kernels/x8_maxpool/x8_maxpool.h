// SPDX-License-Identifier: Apache-2.0
// x8_maxpool: maximum over a window of one plane of 4 channels (C4P); taps outside the plane do not take part. Every
// window holds at least one tap inside the plane.
#pragma once

#include <cstdint>

#include "kernels/activation.h"

namespace edgeml::kernels {

struct X8MaxpoolArgs {
  const act_t* in;  // dense plane of in_h * in_w words
  std::int32_t in_h, in_w;
  std::int32_t kernel_h, kernel_w;
  std::int32_t stride_h, stride_w;
  std::int32_t dilation_h, dilation_w;
  std::int32_t pad_top, pad_left;
  std::int32_t out_h, out_w;
  act_t* out;  // dense plane of out_h * out_w words
};

using X8MaxpoolFn = void (*)(const X8MaxpoolArgs&) noexcept;

}  // namespace edgeml::kernels
