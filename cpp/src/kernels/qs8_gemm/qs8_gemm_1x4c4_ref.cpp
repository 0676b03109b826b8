// SPDX-License-Identifier: Apache-2.0
// qs8_gemm_1x4c4_ref: the specification of qs8_gemm.h, one output byte at a time. Sums wrap modulo 2^32 as the vector
// instructions do; for a valid artifact the true sum fits (numerics.md, section 1).
#include "kernels/qs8_gemm/qs8_gemm.h"

namespace edgeml::kernels {
namespace {

std::int32_t dot(const QS8GemmArgs& args, const act_t* pixel, std::int32_t channel) {
  const std::int64_t panel_bytes = std::int64_t{args.k_groups} * 16;
  const std::int8_t* w = args.weights + channel / 4 * panel_bytes + channel % 4 * 4;
  auto sum = static_cast<std::uint32_t>(args.bias[channel]);
  for (std::int32_t g = 0; g < args.k_groups; ++g) {
    const act_t* x = pixel + args.group_offset[g];
    for (std::int32_t i = 0; i < 4; ++i) sum += static_cast<std::uint32_t>(x[i] * w[g * std::int64_t{16} + i]);
  }
  return static_cast<std::int32_t>(sum);
}

}  // namespace

void qs8_gemm_1x4c4_ref(const QS8GemmArgs& args) noexcept {
  for (std::int32_t p = args.pixel_begin; p < args.pixel_end; ++p) {
    const act_t* pixel =
        args.in + std::int64_t{p / args.out_w} * args.in_row_step + std::int64_t{p % args.out_w} * args.in_col_step;
    for (std::int32_t panel = args.panel_begin; panel < args.panel_end; ++panel) {
      act_t* word = args.out + panel * args.out_plane_step + p * args.out_pixel_step;
      for (std::int32_t i = 0; i < 4; ++i) {
        const std::int32_t channel = panel * 4 + i;
        word[i] = requantize(dot(args, pixel, channel), args.multiplier[channel], args.range);
      }
    }
  }
}

}  // namespace edgeml::kernels
