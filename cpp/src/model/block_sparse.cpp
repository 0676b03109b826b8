// SPDX-License-Identifier: Apache-2.0
#include "model/block_sparse.h"

#include <algorithm>
#include <bit>

namespace edgeml {
namespace {

// The geometry without the parts.
BlockSparse shape_of(const Tensor& tensor) {
  BlockSparse shape{};
  const std::int32_t last = tensor.dims.rank - 1;
  shape.channels = tensor.dims[0];
  shape.in_channels = tensor.dims[last];
  shape.taps = 1;
  for (std::int32_t axis = 1; axis < last; ++axis) shape.taps *= tensor.dims[axis];
  shape.block_rows = tensor.block_rows;
  shape.rows = ceil_div(shape.channels, tensor.block_rows);
  shape.groups = shape.taps * ceil_div(shape.in_channels, 4);
  return shape;
}

// Weights of a block that stand for channels beyond the tensor's.
bool is_padding(const BlockSparse& weights, std::int64_t row, std::int64_t group, std::int64_t at) {
  const std::int64_t channel = row * weights.block_rows + at / 4;
  const std::int64_t in_channel = 4 * (group % ceil_div(weights.in_channels, 4)) + at % 4;
  return channel >= weights.channels || in_channel >= weights.in_channels;
}

}  // namespace

Status check_block_sparse(const Tensor& tensor, std::string_view where) {
  if (tensor.block_rows != 1 && tensor.block_rows != 2 && tensor.block_rows != 4) {
    return fail(ErrorCode::bad_tensor, where, ": block rows ", tensor.block_rows, " are not 1, 2 or 4");
  }
  if (tensor.dtype != DType::s8 || tensor.dims.rank < 2) {
    return fail(ErrorCode::bad_tensor, where, ": only s8 constants of rank 2 and more may be block-sparse");
  }
  const BlockSparse shape = shape_of(tensor);
  const auto size = static_cast<std::int64_t>(tensor.data.size());
  const std::int64_t present_bytes = shape.rows * shape.row_bytes();
  if (size < present_bytes) {
    return fail(ErrorCode::bad_constant_data, where, ": the bits of its blocks need ", present_bytes,
                " bytes, the record says ", size);
  }
  const auto* const present = reinterpret_cast<const std::uint8_t*>(tensor.data.data());
  std::int64_t count = 0;
  for (std::int64_t i = 0; i < present_bytes; ++i) count += std::popcount(present[i]);
  if (size != present_bytes + count * shape.block_bytes()) {
    return fail(ErrorCode::bad_constant_data, where, ": its ", count, " blocks need ",
                present_bytes + count * shape.block_bytes(), " bytes, the record says ", size);
  }
  if (shape.groups % 8 != 0) {
    for (std::int64_t row = 1; row <= shape.rows; ++row) {
      if (present[row * shape.row_bytes() - 1] >> (shape.groups % 8) != 0) {
        return fail(ErrorCode::nonzero_unused, where, ": row ", row - 1, " of its blocks has bits beyond block ",
                    shape.groups - 1);
      }
    }
  }
  const BlockSparse weights = view_block_sparse(tensor);
  const char* fault = nullptr;
  for_each_block(weights, [&](std::int64_t row, std::int64_t group, const std::int8_t* block) {
    bool zero = true;
    for (std::int64_t at = 0; at < weights.block_bytes(); ++at) {
      if (block[at] == 0) continue;
      zero = false;
      if (is_padding(weights, row, group, at)) fault = ": a block has a weight beyond the channels";
    }
    if (zero) fault = ": a block is all zero";
  });
  if (fault != nullptr) return fail(ErrorCode::bad_constant_data, where, fault);
  return Done{};
}

BlockSparse view_block_sparse(const Tensor& tensor) {
  BlockSparse weights = shape_of(tensor);
  const auto present_bytes = static_cast<std::size_t>(weights.rows * weights.row_bytes());
  weights.present = {reinterpret_cast<const std::uint8_t*>(tensor.data.data()), present_bytes};
  weights.blocks = tensor.values<std::int8_t>().subspan(present_bytes);
  return weights;
}

std::vector<std::int8_t> to_dense(const BlockSparse& weights) {
  std::vector<std::int8_t> dense(static_cast<std::size_t>(weights.channels * weights.taps * weights.in_channels));
  const std::int64_t words = ceil_div(weights.in_channels, 4);
  for_each_block(weights, [&](std::int64_t row, std::int64_t group, const std::int8_t* block) {
    const std::int64_t in_channel = group % words * 4;
    const std::int64_t inside = std::min<std::int64_t>(4, weights.in_channels - in_channel);
    const std::int64_t first = row * weights.block_rows;
    const std::int64_t count = std::min<std::int64_t>(weights.block_rows, weights.channels - first);
    for (std::int64_t i = 0; i < count; ++i) {
      const std::int64_t to = ((first + i) * weights.taps + group / words) * weights.in_channels + in_channel;
      std::copy_n(block + 4 * i, inside, dense.begin() + to);
    }
  });
  return dense;
}

}  // namespace edgeml
