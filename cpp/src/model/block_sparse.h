// SPDX-License-Identifier: Apache-2.0
// Weights without their zeros: blocks of r output channels x 4 input channels (artifact-format.md, section 4.1).
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/int_math.h"
#include "base/result.h"
#include "model/model.h"

namespace edgeml {

// A block-sparse constant by its parts.
struct BlockSparse {
  std::int64_t channels, taps, in_channels;
  std::int32_t block_rows;                // r
  std::int64_t rows;                      // of blocks: ceil(channels / r)
  std::int64_t groups;                    // blocks of a row if all were there: taps * ceil(in_channels / 4)
  std::span<const std::uint8_t> present;  // [rows][ceil(groups / 8)]
  std::span<const std::int8_t> blocks;    // [there][r][4]

  std::int64_t row_bytes() const { return ceil_div(groups, 8); }
  std::int64_t block_bytes() const { return std::int64_t{4} * block_rows; }
  std::int64_t block_count() const { return static_cast<std::int64_t>(blocks.size()) / block_bytes(); }
};

// Every rule of section 4.1; the dims are checked already.
Status check_block_sparse(const Tensor& tensor, std::string_view where);

// Of a tensor that check_block_sparse has passed.
BlockSparse view_block_sparse(const Tensor& tensor);

// The same weights with their zeros, [channels][taps][in_channels].
std::vector<std::int8_t> to_dense(const BlockSparse& weights);

// visit(row, group, const std::int8_t* block) for every block in the order of the file.
template <class Visit>
void for_each_block(const BlockSparse& weights, const Visit& visit) {
  const std::int8_t* block = weights.blocks.data();
  const std::uint8_t* present = weights.present.data();
  for (std::int64_t row = 0; row < weights.rows; ++row, present += weights.row_bytes()) {
    for (std::int64_t byte = 0; byte < weights.row_bytes(); ++byte) {
      for (unsigned bits = present[byte]; bits != 0; bits &= bits - 1, block += weights.block_bytes()) {
        visit(row, 8 * byte + __builtin_ctz(bits), block);
      }
    }
  }
}

}  // namespace edgeml
