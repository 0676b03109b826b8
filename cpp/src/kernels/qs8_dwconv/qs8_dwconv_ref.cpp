// SPDX-License-Identifier: Apache-2.0
// qs8_dwconv_ref: the specification of qs8_dwconv.h, one output byte at a time; weights packed with kr = 1.
#include "kernels/qs8_dwconv/qs8_dwconv.h"

namespace edgeml::kernels {
namespace {

std::int32_t dot(const QS8DwconvArgs& args, std::int32_t y, std::int32_t x, std::int32_t channel) {
  auto sum = static_cast<std::uint32_t>(args.bias[channel]);
  for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
    const act_t* row =
        args.in + (std::int64_t{y} * args.stride_h + std::int64_t{ky} * args.dilation_h) * args.in_row_step;
    for (std::int32_t kx = 0; kx < args.kernel_w; ++kx) {
      const act_t* word = row + (std::int64_t{x} * args.stride_w + std::int64_t{kx} * args.dilation_w) * 4;
      const std::int8_t w = args.weights[(std::int64_t{ky} * args.kernel_w + kx) * 4 + channel];
      sum += static_cast<std::uint32_t>(word[channel] * w);
    }
  }
  return static_cast<std::int32_t>(sum);
}

}  // namespace

void qs8_dwconv_ref(const QS8DwconvArgs& args) noexcept {
  for (std::int32_t y = 0; y < args.out_h; ++y) {
    for (std::int32_t x = 0; x < args.out_w; ++x) {
      act_t* word = args.out + (std::int64_t{y} * args.out_w + x) * 4;
      for (std::int32_t c = 0; c < 4; ++c) {
        word[c] = requantize(dot(args, y, x, c), args.multiplier[c], args.range);
      }
    }
  }
}

}  // namespace edgeml::kernels
