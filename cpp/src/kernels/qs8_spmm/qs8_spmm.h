// SPDX-License-Identifier: Apache-2.0
// qs8_spmm: output pixels x output channels with block-sparse weights, int8 x int8 -> int32 -> int8; what qs8_gemm
// computes with the zeros filled in. Pixels are in the lanes. A block is r output channels x one depth word of 4 input
// channels; its word of pixel p stands at  in + offset + 4*p  for every p: rows of an image follow each other at one
// pitch, so that a convolution of any size is one long row of pixels with some that are no output.
//
//   row_begin        [planes * 4/r + 1]   first block of each row of blocks
//   offset           [blocks]             bytes, of each block's word of pixel 0
//   weights, packed  [blocks]             qs8_spmm_pack.h
//   bias, multiplier [planes * 4]         zero in the tail
//   out word of channels 4c..4c+3, pixel p:  out + c*out_plane_step + 4*p,
//                                            or as the strips say, where only some pixels are outputs
//
// Bytes of absent channels in the last plane are unspecified. Words are read for pixels up to pixel_end rounded up to
// 16. Without strips they are written as far; with strips none but the outputs of [pixel_begin, pixel_end).
#pragma once

#include <cstdint>

#include "kernels/requantize.h"

namespace edgeml::kernels {

// 16 pixels, of which those in `outputs` are stored, one behind the other.
struct QS8SpmmStrip {
  std::uint32_t outputs;   // bit i: pixel i of the strip is one
  std::int32_t first_out;  // number of the first of them among all outputs
};

inline constexpr std::int32_t kSpmmStripPixels = 16;

struct QS8SpmmArgs {
  const act_t* in;
  const std::int32_t* row_begin;
  const std::int32_t* offset;
  const std::int8_t* weights;
  const std::int32_t* bias;  // b'[c] = b[c] - (Z_x + kActOffset) * sum_k w[c,k]
  const float* multiplier;   // normal, in [2^-32, 2^8), or 0 in the tail
  std::int32_t block_rows;   // r: 1, 2 or 4
  act_t* out;
  std::int64_t out_plane_step;  // bytes
  OutputRange range;
  const QS8SpmmStrip* strips;  // from pixel 0 on; null: every pixel is an output
  // The part of the output that this call computes; pixel_begin is a multiple of 16.
  std::int32_t pixel_begin, pixel_end;
  std::int32_t plane_begin, plane_end;  // of 4 output channels
};

using QS8SpmmFn = void (*)(const QS8SpmmArgs&) noexcept;

}  // namespace edgeml::kernels
