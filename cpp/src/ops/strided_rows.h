// SPDX-License-Identifier: Apache-2.0
// Walks a box of positions row by row for several operands, each with its own steps: broadcasting and views.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>

#include "edgeml/tensor.h"

namespace edgeml {

template <std::size_t kOperands>
class StridedRows {
 public:
  using Steps = std::array<std::int64_t, kTensorRankMax>;

  // Axes that every operand walks in one go are joined, so that rows are as long as can be.
  StridedRows(const Dims& dims, const std::array<Steps, kOperands>& steps) {
    for (std::int32_t axis = 0; axis < dims.rank; ++axis) {
      if (dims[axis] == 1) continue;
      const auto from = static_cast<std::size_t>(axis);
      bool joins = rank_ > 0;
      for (std::size_t k = 0; k < kOperands && joins; ++k) joins = steps_[k][rank_ - 1] == steps[k][from] * dims[axis];
      if (!joins) size_[rank_++] = 1;
      size_[rank_ - 1] *= dims[axis];
      for (std::size_t k = 0; k < kOperands; ++k) steps_[k][rank_ - 1] = steps[k][from];
    }
    if (rank_ == 0) size_[rank_++] = 1;
    for (std::size_t axis = 0; axis + 1 < rank_; ++axis) rows_ *= size_[axis];
  }

  std::int64_t rows() const { return rows_; }
  std::int64_t length() const { return size_[rank_ - 1]; }
  std::int64_t step(std::size_t operand) const { return steps_[operand][rank_ - 1]; }

  // visit(offsets): elements from each operand's start to the row's, for rows [begin, end).
  template <class Visit>
  void for_rows(std::int64_t begin, std::int64_t end, const Visit& visit) const {
    std::array<std::int64_t, kTensorRankMax> at{};
    std::array<std::int64_t, kOperands> offset{};
    std::int64_t rest = begin;
    for (std::size_t axis = rank_ - 1; axis-- > 0;) {
      at[axis] = rest % size_[axis];
      rest /= size_[axis];
      for (std::size_t k = 0; k < kOperands; ++k) offset[k] += at[axis] * steps_[k][axis];
    }
    for (std::int64_t row = begin; row < end; ++row) {
      visit(offset);
      for (std::size_t axis = rank_ - 1; axis-- > 0;) {
        for (std::size_t k = 0; k < kOperands; ++k) offset[k] += steps_[k][axis];
        if (++at[axis] < size_[axis]) break;
        at[axis] = 0;
        for (std::size_t k = 0; k < kOperands; ++k) offset[k] -= size_[axis] * steps_[k][axis];
      }
    }
  }

 private:
  std::size_t rank_ = 0;
  std::int64_t rows_ = 1;
  std::array<std::int64_t, kTensorRankMax> size_{};
  std::array<Steps, kOperands> steps_{};
};

}  // namespace edgeml
