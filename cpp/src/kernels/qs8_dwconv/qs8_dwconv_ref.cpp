// SPDX-License-Identifier: Apache-2.0
// qs8_dwconv_ref: the specification of qs8_dwconv.h, one output byte at a time; weights packed with kr = 1.
#include "kernels/qs8_dwconv/qs8_dwconv.h"

namespace edgeml::kernels {
namespace {

// One channel of a word; the zero point outside the plane.
std::int32_t value_at(const QS8DwconvArgs& args, std::int32_t plane, std::int64_t y, std::int64_t x,
                      std::int32_t channel) {
  if (y < 0 || y >= args.in_h || x < 0 || x >= args.in_w) return args.zero_point_in;
  return args.in[plane * args.in_plane_step + (y * args.in_w + x) * 4 + channel];
}

std::int32_t dot(const QS8DwconvArgs& args, std::int32_t plane, std::int32_t y, std::int32_t x, std::int32_t channel) {
  const std::int8_t* weight = args.weights + std::int64_t{plane} * args.kernel_h * args.kernel_w * 4 + channel;
  auto sum = static_cast<std::uint32_t>(args.bias[plane * 4 + channel]);
  for (std::int32_t ky = 0; ky < args.kernel_h; ++ky) {
    const std::int64_t row = std::int64_t{y} * args.stride_h + std::int64_t{ky} * args.dilation_h - args.pad_top;
    for (std::int32_t kx = 0; kx < args.kernel_w; ++kx, weight += 4) {
      const std::int64_t column = std::int64_t{x} * args.stride_w + std::int64_t{kx} * args.dilation_w - args.pad_left;
      sum += static_cast<std::uint32_t>(value_at(args, plane, row, column, channel) * *weight);
    }
  }
  return static_cast<std::int32_t>(sum);
}

}  // namespace

void qs8_dwconv_ref(const QS8DwconvArgs& args) noexcept {
  for (std::int32_t plane = 0; plane < args.planes; ++plane) {
    act_t* word = args.out + plane * args.out_plane_step;
    for (std::int32_t y = 0; y < args.out_h; ++y) {
      for (std::int32_t x = 0; x < args.out_w; ++x, word += 4) {
        for (std::int32_t c = 0; c < 4; ++c) {
          word[c] = requantize(dot(args, plane, y, x, c), args.multiplier[plane * 4 + c], args.range);
        }
      }
    }
  }
}

}  // namespace edgeml::kernels
