// SPDX-License-Identifier: Apache-2.0
// qs8_spmm_ref: the specification of qs8_spmm.h, one output byte at a time. Sums wrap modulo 2^32 as the vector
// instructions do; for a valid artifact the true sum fits (numerics.md, section 1).
#include "kernels/qs8_spmm/qs8_spmm.h"

namespace edgeml::kernels {
namespace {

std::int32_t dot(const QS8SpmmArgs& args, const act_t* pixel, std::int32_t channel) {
  const std::int32_t row = channel / args.block_rows;
  const std::int32_t lane = channel % args.block_rows;
  auto sum = static_cast<std::uint32_t>(args.bias[channel]);
  for (std::int32_t b = args.row_begin[row]; b < args.row_begin[row + 1]; ++b) {
    const act_t* x = pixel + args.offset[b];
    const std::int8_t* w = args.weights + (std::int64_t{b} * args.block_rows + lane) * 4;
    for (std::int32_t i = 0; i < 4; ++i) sum += static_cast<std::uint32_t>(x[i] * w[i]);
  }
  return static_cast<std::int32_t>(sum);
}

// Where pixel p goes, counted in words; -1: it is no output.
std::int32_t place_of(const QS8SpmmArgs& args, std::int32_t p) {
  if (args.strips == nullptr) return p;
  const QS8SpmmStrip& strip = args.strips[p / kSpmmStripPixels];
  const std::uint32_t bit = 1U << (p % kSpmmStripPixels);
  if ((strip.outputs & bit) == 0) return -1;
  return strip.first_out + __builtin_popcount(strip.outputs & (bit - 1));
}

}  // namespace

void qs8_spmm_ref(const QS8SpmmArgs& args) noexcept {
  for (std::int32_t p = args.pixel_begin; p < args.pixel_end; ++p) {
    const std::int32_t place = place_of(args, p);
    if (place < 0) continue;
    for (std::int32_t plane = args.plane_begin; plane < args.plane_end; ++plane) {
      act_t* word = args.out + plane * args.out_plane_step + std::int64_t{place} * 4;
      for (std::int32_t i = 0; i < 4; ++i) {
        const std::int32_t channel = plane * 4 + i;
        word[i] = requantize(dot(args, args.in + std::int64_t{p} * 4, channel), args.multiplier[channel], args.range);
      }
    }
  }
}

}  // namespace edgeml::kernels
