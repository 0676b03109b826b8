// SPDX-License-Identifier: Apache-2.0
// How a qs8_dwconv kernel without a test for the border gets its planes: one after another, each as a padded copy.
// static inline for the reason given in requantize.h.
#pragma once

#include <cstdint>

#include "kernels/pad_plane.h"
#include "kernels/qs8_dwconv/qs8_dwconv.h"
#include "kernels/qs8_dwconv/qs8_dwconv_pack.h"

namespace edgeml::kernels {

// This many bytes after the last needed word of every row of a padded plane may be read (not used).
inline constexpr std::int32_t kDwconvReadSlack = 64;

// One plane whose padding is explicit: `in` is the word of tap (0, 0) of output pixel (0, 0).
struct PaddedPlaneArgs {
  const act_t* in;
  std::int32_t in_row_step;  // bytes
  std::int32_t out_h, out_w;
  std::int32_t kernel_h, kernel_w;
  std::int32_t stride_h, stride_w;
  std::int32_t dilation_h, dilation_w;
  const std::int8_t* weights;  // of this plane, packed
  const std::int32_t* bias;    // [4]
  const float* multiplier;     // [4]
  act_t* out;
  OutputRange range;
};

// Rows and columns that the outputs of a window touch, padding included.
static inline std::int32_t window_reach(std::int32_t out, std::int32_t stride, std::int32_t kernel,
                                        std::int32_t dilation) {
  return (out - 1) * stride + (kernel - 1) * dilation + 1;
}

static inline std::int64_t qs8_dwconv_scratch_bytes(std::int32_t reach_h, std::int32_t reach_w) {
  return std::int64_t{reach_h} * reach_w * 4 + kDwconvReadSlack;
}

// body(PaddedPlaneArgs) for each plane; kr as in kernels.def.
template <class Body>
static inline void for_padded_planes(const QS8DwconvArgs& args, std::int32_t kr, const Body& body) {
  const PlanePadding padding{args.in_h,
                             args.in_w,
                             args.pad_top,
                             args.pad_left,
                             window_reach(args.out_h, args.stride_h, args.kernel_h, args.dilation_h),
                             window_reach(args.out_w, args.stride_w, args.kernel_w, args.dilation_w)};
  const std::int64_t weight_step = qs8_dwconv_packed_bytes(args.kernel_h, args.kernel_w, kr);
  fill_padding(padding, args.zero_point_in, args.scratch);
  for (std::int32_t plane = 0; plane < args.planes; ++plane) {
    copy_inside(args.in + plane * args.in_plane_step, padding, args.scratch);
    body(PaddedPlaneArgs{args.scratch, padding.out_w * 4, args.out_h, args.out_w, args.kernel_h, args.kernel_w,
                         args.stride_h, args.stride_w, args.dilation_h, args.dilation_w,
                         args.weights + plane * weight_step, args.bias + std::int64_t{plane} * 4,
                         args.multiplier + std::int64_t{plane} * 4, args.out + plane * args.out_plane_step,
                         args.range});
  }
}

}  // namespace edgeml::kernels
