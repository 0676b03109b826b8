// SPDX-License-Identifier: Apache-2.0
#include "ops/spmm_node.h"

#include <algorithm>
#include <vector>

#include "kernels/qs8_spmm/qs8_spmm_pack.h"
#include "ops/weight_sums.h"

namespace edgeml {
namespace {

constexpr std::int64_t kSplitPixels = 64;  // pixels of a tile that another thread may take: a multiple of a strip

}  // namespace

Result<SpmmNode> SpmmNode::pack(const kernels::KernelRow<kernels::QS8SpmmFn>& row, const Source& source) {
  const BlockSparse& w = source.weights;
  const std::int64_t planes = ceil_div(w.channels, 4);
  const std::int64_t rows = planes * 4 / w.block_rows;
  if (planes > INT32_MAX / 64 || w.block_count() > INT32_MAX / 64)
    return fail(ErrorCode::too_much_work, "a layer of ", w.channels, " channels is too large");
  SpmmNode node;
  node.row_ = row;
  node.block_rows_ = w.block_rows;
  node.planes_ = static_cast<std::int32_t>(planes);
  std::vector<std::int32_t> row_begin_of(static_cast<std::size_t>(rows) + 1);  // counts, then where each row begins
  for_each_block(w, [&](std::int64_t block_row, std::int64_t, const std::int8_t*) {
    ++row_begin_of[static_cast<std::size_t>(block_row) + 1];
  });
  for (std::size_t i = 1; i < row_begin_of.size(); ++i)
    row_begin_of[i] = row_begin_of[i - 1] + kernels::qs8_spmm_row_blocks(row_begin_of[i], row.kr);
  node.block_count_ = row_begin_of.back();
  const std::int64_t packed_block = kernels::qs8_spmm_block_bytes(w.block_rows, row.kr);
  const std::int64_t weight_bytes = round_up(node.block_count_ * packed_block, 64);
  const std::int64_t row_bytes = round_up((rows + 1) * 4, 64);
  const std::int64_t offset_bytes = round_up(node.block_count_ * 4, 64);
  const std::int64_t vector_bytes = round_up(planes * 16, 64);
  const std::int64_t bytes = weight_bytes + row_bytes + offset_bytes + 2 * vector_bytes;
  node.packed_ = AlignedBuffer::allocate(bytes);
  if (node.packed_.empty()) return fail(ErrorCode::out_of_memory, "no memory for ", bytes, " bytes of sparse weights");
  auto* const weights = node.packed_.as<std::int8_t>();
  auto* const row_begin = reinterpret_cast<std::int32_t*>(weights + weight_bytes);
  auto* const offset = reinterpret_cast<std::int32_t*>(weights + weight_bytes + row_bytes);
  auto* const bias = reinterpret_cast<std::int32_t*>(weights + weight_bytes + row_bytes + offset_bytes);
  auto* const multiplier = reinterpret_cast<float*>(weights + bytes - vector_bytes);
  std::copy(row_begin_of.begin(), row_begin_of.end(), row_begin);
  std::copy(source.bias.begin(), source.bias.end(), bias);
  std::copy(source.multiplier.begin(), source.multiplier.end(), multiplier);
  const auto zero_point = static_cast<std::uint32_t>(source.zero_point_in + kernels::kActOffset);
  std::vector<std::int32_t>& next = row_begin_of;  // free block of each row
  for_each_block(w, [&](std::int64_t block_row, std::int64_t group, const std::int8_t* block) {
    const std::int32_t at = next[static_cast<std::size_t>(block_row)]++;
    offset[at] = source.group_offset[static_cast<std::size_t>(group)];
    if (at + 1 < row_begin[block_row + 1]) offset[at + 1] = offset[at];  // until a block of its own comes
    kernels::qs8_spmm_pack(block, w.block_rows, row.kr, weights + at * packed_block);
    for (std::int32_t i = 0; i < w.block_rows; ++i) {
      const std::int8_t* word = block + std::int64_t{4} * i;
      // Unsigned: a part of the sum may leave int32 where the whole does not (numerics.md, section 1).
      auto& folded = reinterpret_cast<std::uint32_t&>(bias[block_row * w.block_rows + i]);
      folded -= zero_point * static_cast<std::uint32_t>(word[0] + word[1] + word[2] + word[3]);
    }
  });
  node.weights_ = weights;
  node.row_begin_ = row_begin;
  node.offset_ = offset;
  node.bias_ = bias;
  node.multiplier_ = multiplier;
  return node;
}

void SpmmNode::run(const Run& run, kernels::QS8SpmmArgs geometry, std::int64_t swept_pixels) const noexcept {
  geometry.row_begin = row_begin_;
  geometry.offset = offset_;
  geometry.weights = weights_;
  geometry.bias = bias_;
  geometry.multiplier = multiplier_;
  geometry.block_rows = block_rows_;
  geometry.pixel_begin = 0;
  geometry.pixel_end = static_cast<std::int32_t>(swept_pixels);
  geometry.plane_begin = 0;
  geometry.plane_end = planes_;
  const std::int64_t macs = swept_pixels * block_count_ * block_rows_ * 4;
  const std::int64_t tiles = ceil_div(swept_pixels, kSplitPixels);
  const bool by_pixels = tiles >= std::min<std::int64_t>(planes_, std::int64_t{run.parallel.threads} * kTilesPerThread);
  const std::int64_t units = by_pixels ? tiles : planes_;
  for_ranges(run.parallel, units, tile_count(run.parallel, units, macs, kTileMacsMin),
             [&](std::int64_t begin, std::int64_t end, std::int32_t) {
               kernels::QS8SpmmArgs args = geometry;
               if (by_pixels) {
                 args.pixel_begin = static_cast<std::int32_t>(begin * kSplitPixels);
                 args.pixel_end = static_cast<std::int32_t>(std::min(end * kSplitPixels, swept_pixels));
               } else {
                 args.plane_begin = static_cast<std::int32_t>(begin);
                 args.plane_end = static_cast<std::int32_t>(end);
               }
               row_.fn(args);
             });
}

}  // namespace edgeml
