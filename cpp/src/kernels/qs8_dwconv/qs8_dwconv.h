// SPDX-License-Identifier: Apache-2.0
// qs8_dwconv: depthwise convolution of planes of 4 channels (C4P), any window, stride and dilation. Taps outside a
// plane read the zero point: a kernel tests for the border, or runs over a padded copy in its scratch
// (qs8_dwconv_padded.h).
//
//   in       planes of in_h rows of in_w words, dense, in_plane_step bytes apart; tap (0, 0) of output pixel (0, 0) is
//            the word at row -pad_top, column -pad_left
//   weights  [planes][kernel_h * kernel_w][4 channels] s8, then packed by the row's pack function (qs8_dwconv_pack.h)
//   out      planes of out_h rows of out_w words, dense, out_plane_step bytes apart
//
// Nothing else is read or written.
#pragma once

#include <cstdint>

#include "kernels/requantize.h"

namespace edgeml::kernels {

struct QS8DwconvArgs {
  std::int32_t planes;
  const act_t* in;
  std::int64_t in_plane_step;  // bytes
  std::int32_t in_h, in_w;
  std::int32_t pad_top, pad_left;
  std::int32_t zero_point_in;  // stored, Z_x + kActOffset
  std::int32_t out_h, out_w;
  std::int32_t kernel_h, kernel_w;
  std::int32_t stride_h, stride_w;
  std::int32_t dilation_h, dilation_w;
  const std::int8_t* weights;
  const std::int32_t* bias;  // [planes][4], b' as in qs8_gemm.h
  const float* multiplier;   // [planes][4]
  act_t* out;
  std::int64_t out_plane_step;  // bytes
  OutputRange range;
  act_t* scratch;  // of this thread, 64-byte aligned, qs8_dwconv_scratch_bytes()
};

using QS8DwconvFn = void (*)(const QS8DwconvArgs&) noexcept;

}  // namespace edgeml::kernels
