// SPDX-License-Identifier: Apache-2.0
// x8_maxpool_ref: the specification of x8_maxpool.h. The memory form keeps the order of the canonical values, so the
// maximum of stored bytes is the stored maximum.
#include "kernels/x8_maxpool/x8_maxpool.h"

namespace edgeml::kernels {
namespace {

act_t max_window(const X8MaxpoolArgs& args, std::int32_t y0, std::int32_t x0, std::int32_t channel) {
  std::int32_t best = -128;  // no stored value is less, in either domain
  for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
    const std::int32_t y = y0 + ky * args.dilation_h;
    if (y < 0 || y >= args.in_h) continue;
    for (std::int32_t kx = 0; kx < args.kernel_w; ++kx) {
      const std::int32_t x = x0 + kx * args.dilation_w;
      if (x < 0 || x >= args.in_w) continue;
      const std::int32_t value = args.in[(std::int64_t{y} * args.in_w + x) * 4 + channel];
      best = value > best ? value : best;
    }
  }
  return static_cast<act_t>(best);
}

}  // namespace

void x8_maxpool_ref(const X8MaxpoolArgs& args) noexcept {
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    for (std::int32_t x = 0; x < args.out_w; ++x) {
      act_t* word = args.out + (std::int64_t{y} * args.out_w + x) * 4;
      for (std::int32_t c = 0; c < 4; ++c) {
        word[c] = max_window(args, y * args.stride_h - args.pad_top, x * args.stride_w - args.pad_left, c);
      }
    }
  }
}

}  // namespace edgeml::kernels
