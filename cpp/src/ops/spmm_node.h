// SPDX-License-Identifier: Apache-2.0
// A qs8_spmm with its prepacked blocks: what sparse convolutions and sparse fully connected layers have in common.
#pragma once

#include <cstdint>
#include <span>

#include "base/aligned_buffer.h"
#include "base/result.h"
#include "kernels/kernel_table.h"
#include "model/block_sparse.h"
#include "ops/operator.h"

namespace edgeml {

class SpmmNode {
 public:
  struct Source {
    BlockSparse weights;
    std::span<const std::int32_t> bias;  // bias and multipliers [channels]
    std::span<const float> multiplier;
    std::int32_t zero_point_in;                  // Z_x, in the quantized domain
    std::span<const std::int32_t> group_offset;  // [groups], bytes: where a group's word of pixel 0 stands
  };

  static Result<SpmmNode> pack(const kernels::KernelRow<kernels::QS8SpmmFn>& row, const Source& source);

  // Computes all pixels and channels of one matrix, split over the threads. `geometry` has the input and output
  // addresses, out_plane_step, range and strips; swept_pixels is from the first output pixel to behind the last.
  void run(const Run& run, kernels::QS8SpmmArgs geometry, std::int64_t swept_pixels) const noexcept;

  std::int64_t packed_bytes() const { return packed_.size(); }
  const char* kernel() const { return row_.name; }

 private:
  kernels::KernelRow<kernels::QS8SpmmFn> row_{};
  std::int32_t block_rows_ = 0, planes_ = 0;
  std::int64_t block_count_ = 0;
  AlignedBuffer packed_;  // weights, row_begin, offset, bias, multiplier, each from a multiple of 64
  const std::int8_t* weights_ = nullptr;
  const std::int32_t* row_begin_ = nullptr;
  const std::int32_t* offset_ = nullptr;
  const std::int32_t* bias_ = nullptr;
  const float* multiplier_ = nullptr;
};

}  // namespace edgeml
