// SPDX-License-Identifier: Apache-2.0
// qs8_gemm: output pixels x output channels, int8 x int8 -> int32 -> int8. The one kernel behind convolution of every
// shape and stride, and behind matmul. Depth is a list of k_groups words of 4 input channels: word g of output pixel p
// stands at  in + y(p)*in_row_step + x(p)*in_col_step + group_offset[g]  with y = p / out_w, x = p % out_w.
//
//   weights, packed  [ceil(channels/nr)][ceil(4*k_groups/kr)][nr][kr]   zero in the tails (pack_weights.h), >= -127
//                                                                       unless full_range_weights
//   bias, multiplier [ceil(channels/nr)*nr]                              zero in the tails
//   out word of channels 4c..4c+3, pixel p:  out + c*out_plane_step + p*out_pixel_step
//
// Words of the last, partial channel group are written whole; the bytes of absent channels are unspecified.
// Nothing else outside the described words is read or written. No alignment is assumed but that of words (4 bytes).
#pragma once

#include <cstdint>

#include "kernels/requantize.h"

namespace edgeml::kernels {

struct QS8GemmArgs {
  const act_t* in;
  const std::int32_t* group_offset;  // [k_groups], bytes
  std::int32_t k_groups;             // >= 1
  std::int32_t out_w;                // >= 1
  std::int32_t in_row_step;          // bytes
  std::int32_t in_col_step;          // bytes
  const std::int8_t* weights;
  const std::int32_t* bias;  // b'[c] = b[c] - (Z_x + kActOffset) * sum_k w[c,k]
  const float* multiplier;   // normal, in [2^-32, 2^8), or 0 in the tail
  std::int32_t channels;     // >= 1
  act_t* out;
  std::int64_t out_plane_step;  // bytes
  std::int64_t out_pixel_step;  // bytes
  OutputRange range;
  // The part of the output that this call computes: pixels [pixel_begin, pixel_end), weight panels of nr channels
  // [panel_begin, panel_end).
  std::int32_t pixel_begin, pixel_end;
  std::int32_t panel_begin, panel_end;
  // Scratch of this thread, 64-byte aligned, of the size that workspace_bytes() of the row gives for k_groups.
  void* workspace;
  bool full_range_weights = false;  // a weight may be -128: activations in the place of weights
};

using QS8GemmFn = void (*)(const QS8GemmArgs&) noexcept;

// Scratch that one thread needs while it runs a qs8_gemm kernel of the tile mr x nr and depth grouping kr. Kernels
// whose lanes take words as they stand (kr == 4, several planes in a panel) need none, nor does ref. The others first
// copy one tile of activations there: widened to int16 where kr < 8, else 4 or 2 words of a pixel side by side, each
// pixel's depth filled up to kr.
static inline std::int64_t qs8_gemm_workspace_bytes(std::int32_t mr, std::int32_t nr, std::int32_t kr,
                                                    std::int32_t k_groups) {
  if (mr == 1 || (kr == 4 && nr > 4)) return 0;
  const std::int64_t words = kr < 8 ? k_groups : (std::int64_t{k_groups} + 3) / 4 * 4;
  return words * mr * (kr < 8 ? 8 : 4) + 64;
}

}  // namespace edgeml::kernels
