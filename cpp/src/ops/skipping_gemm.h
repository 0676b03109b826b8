// SPDX-License-Identifier: Apache-2.0
// A qs8_gemm whose weight panels each leave out the depth words in which none of their channels has a weight: how
// block-sparse weights run where there are no pixels to fill lanes with, fully connected layers above all.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/result.h"
#include "kernels/kernel_table.h"
#include "model/block_sparse.h"
#include "ops/operator.h"

namespace edgeml {

class SkippingGemm {
 public:
  struct Source {
    BlockSparse weights;
    std::span<const std::int32_t> bias;  // bias and multipliers [channels]
    std::span<const float> multiplier;
    std::int32_t zero_point_in;                  // Z_x, in the quantized domain
    std::span<const std::int32_t> group_offset;  // [groups], bytes
  };

  // A kernel hides latency by running several panels at once, which here are apart: half of the words must go before a
  // tenth of the time does.
  static constexpr double kWorthIt = 0.45;

  // Depth words that the panels of a row keep, of panels * groups.
  static double kept_share(const kernels::KernelRow<kernels::QS8GemmFn>& row, const BlockSparse& weights);

  static Result<SkippingGemm> pack(const kernels::KernelRow<kernels::QS8GemmFn>& row, const Source& source);

  // As GemmNode::run; group_offset is this node's own.
  void run(const Run& run, const kernels::QS8GemmArgs& geometry, std::int64_t pixels) const noexcept;

  std::int64_t workspace_bytes() const;  // per thread
  std::int64_t packed_bytes() const;
  const char* kernel() const { return row_.name; }

 private:
  struct Panel {
    std::vector<std::int32_t> group_offset;  // of the words that it keeps, at least one
    AlignedBuffer weights;
  };
  kernels::KernelRow<kernels::QS8GemmFn> row_{};
  std::int32_t channels_ = 0;
  std::int64_t kept_words_ = 0;
  std::vector<Panel> panels_;
  std::vector<std::int32_t> bias_;  // bias and multipliers [panels * nr], zero in the tail
  std::vector<float> multiplier_;
};

}  // namespace edgeml
