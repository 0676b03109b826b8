// SPDX-License-Identifier: Apache-2.0
// qs8_avgpool_ref: the specification of qs8_avgpool.h.
#include "kernels/qs8_avgpool/qs8_avgpool.h"

namespace edgeml::kernels {
namespace {

struct WindowSum {
  std::int32_t acc;   // sum of q - Z over the taps inside the plane
  std::int32_t taps;  // how many those are
};

WindowSum sum_window(const QS8AvgpoolArgs& args, std::int32_t y0, std::int32_t x0, std::int32_t channel) {
  WindowSum sum{0, 0};
  for (std::int32_t y = y0; y < y0 + args.kernel_h; ++y) {
    for (std::int32_t x = x0; x < x0 + args.kernel_w; ++x) {
      if (y < 0 || y >= args.in_h || x < 0 || x >= args.in_w) continue;
      sum.acc += args.in[(std::int64_t{y} * args.in_w + x) * 4 + channel] - args.zero_point;
      ++sum.taps;
    }
  }
  return sum;
}

}  // namespace

void qs8_avgpool_ref(const QS8AvgpoolArgs& args) noexcept {
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    for (std::int32_t x = 0; x < args.out_w; ++x) {
      act_t* word = args.out + (std::int64_t{y} * args.out_w + x) * 4;
      for (std::int32_t c = 0; c < 4; ++c) {
        const WindowSum sum = sum_window(args, y * args.stride_h - args.pad_top, x * args.stride_w - args.pad_left, c);
        word[c] = requantize(sum.acc, args.multiplier[sum.taps - 1], args.range);
      }
    }
  }
}

}  // namespace edgeml::kernels
