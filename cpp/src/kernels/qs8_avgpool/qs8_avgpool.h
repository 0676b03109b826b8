// SPDX-License-Identifier: Apache-2.0
// qs8_avgpool: average over a window of one plane of 4 channels (C4P). acc = sum(q) - n*Z over the n taps inside the
// plane, requantized with multiplier[n - 1]; where padding counts, the converter has put the same value in all entries.
#pragma once

#include <cstdint>

#include "kernels/requantize.h"

namespace edgeml::kernels {

struct QS8AvgpoolArgs {
  const act_t* in;  // dense plane of in_h * in_w words
  std::int32_t in_h, in_w;
  std::int32_t kernel_h, kernel_w;
  std::int32_t stride_h, stride_w;
  std::int32_t pad_top, pad_left;
  std::int32_t out_h, out_w;
  std::int32_t zero_point;  // of the input, memory domain
  const float* multiplier;  // [kernel_h * kernel_w]
  act_t* out;               // dense plane of out_h * out_w words
  OutputRange range;
};

using QS8AvgpoolFn = void (*)(const QS8AvgpoolArgs&) noexcept;

}  // namespace edgeml::kernels
