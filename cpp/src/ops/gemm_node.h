// SPDX-License-Identifier: Apache-2.0
// A qs8_gemm with its prepacked weights: what convolutions and fully connected layers have in common.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/result.h"
#include "kernels/kernel_table.h"
#include "ops/operator.h"

namespace edgeml {

class GemmNode {
 public:
  // Weights [channels][taps][in_channels], bias and multipliers [channels] of one group of a convolution.
  struct Source {
    std::span<const std::int8_t> weights;
    std::span<const std::int32_t> bias;
    std::span<const float> multiplier;
    std::int64_t channels, taps, in_channels;
    std::int32_t zero_point_in;  // Z_x, in the quantized domain
  };

  static Result<GemmNode> pack(const kernels::KernelRow<kernels::QS8GemmFn>& row, const Source& source);

  // Computes all pixels and channels of one matrix, split over the threads. `geometry` has the input and output
  // addresses and steps, group_offset, out_w and range; pixels is the number of output pixels.
  void run(const Run& run, kernels::QS8GemmArgs geometry, std::int64_t pixels) const noexcept;

  std::int64_t workspace_bytes() const;  // per thread
  std::int64_t packed_bytes() const { return packed_.size(); }
  const char* kernel() const { return row_.name; }

 private:
  kernels::KernelRow<kernels::QS8GemmFn> row_{};
  std::int32_t channels_ = 0, k_groups_ = 0, panels_ = 0;
  AlignedBuffer packed_;  // weights, then bias, then multipliers, each from a multiple of 64
  const std::int8_t* weights_ = nullptr;
  const std::int32_t* bias_ = nullptr;
  const float* multiplier_ = nullptr;
};

}  // namespace edgeml
