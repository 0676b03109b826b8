// SPDX-License-Identifier: Apache-2.0
// qs8_dwconv: depthwise convolution of one plane of 4 channels (C4P), any window, stride and dilation.
// The caller has made the padding explicit: `in` is the word of tap (0, 0) of output pixel (0, 0), rows are in_row_step
// bytes apart, and kDwconvReadSlack bytes after the last needed word of every row may be read (not used).
//
//   weights  [kernel_h * kernel_w][4 channels] s8, then packed by the row's pack function (qs8_dwconv_pack.h)
//   out      out_h rows of out_w words, dense: word (y, x) at out + (y*out_w + x)*4. Nothing else is written.
#pragma once

#include <cstdint>

#include "kernels/requantize.h"

namespace edgeml::kernels {

inline constexpr std::int32_t kDwconvReadSlack = 64;

struct QS8DwconvArgs {
  const act_t* in;
  std::int32_t in_row_step;  // bytes
  std::int32_t out_h, out_w;
  std::int32_t kernel_h, kernel_w;
  std::int32_t stride_h, stride_w;
  std::int32_t dilation_h, dilation_w;
  const std::int8_t* weights;  // of this plane, packed
  const std::int32_t* bias;    // [4], b' as in qs8_gemm.h
  const float* multiplier;     // [4]
  act_t* out;
  OutputRange range;
};

using QS8DwconvFn = void (*)(const QS8DwconvArgs&) noexcept;

}  // namespace edgeml::kernels
