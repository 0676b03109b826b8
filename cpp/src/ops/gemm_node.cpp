// SPDX-License-Identifier: Apache-2.0
#include "ops/gemm_node.h"

#include <algorithm>

#include "kernels/pack_weights.h"
#include "ops/weight_sums.h"

namespace edgeml {

Result<GemmNode> GemmNode::pack(const kernels::KernelRow<kernels::QS8GemmFn>& row, const Source& source) {
  GemmNode node;
  node.row_ = row;
  const std::int64_t k_groups = source.taps * ceil_div(source.in_channels, 4);
  const std::int64_t panels = ceil_div(source.channels, row.nr);
  const std::int64_t padded_channels = panels * row.nr;
  // Bounds everything below; the weights themselves are in the file, which has less than 2^31 bytes.
  if (k_groups > INT32_MAX / 64 || padded_channels > INT32_MAX / 64 || k_groups * padded_channels > INT32_MAX / 4) {
    return fail(ErrorCode::too_much_work, "a layer of ", source.channels, " channels over a depth of ", 4 * k_groups,
                " is too large");
  }
  node.channels_ = static_cast<std::int32_t>(source.channels);
  node.k_groups_ = static_cast<std::int32_t>(k_groups);
  node.panels_ = static_cast<std::int32_t>(panels);
  const std::int64_t weight_bytes =
      round_up(kernels::qs8_gemm_packed_bytes(node.channels_, node.k_groups_, row.nr, row.kr), 64);
  const std::int64_t vector_bytes = round_up(padded_channels * 4, 64);
  node.packed_ = AlignedBuffer::allocate(weight_bytes + 2 * vector_bytes);
  if (node.packed_.empty())
    return fail(ErrorCode::out_of_memory, "no memory for ", weight_bytes, " bytes of packed weights");
  auto* const weights = node.packed_.as<std::int8_t>();
  auto* const bias = reinterpret_cast<std::int32_t*>(weights + weight_bytes);
  auto* const multiplier = reinterpret_cast<float*>(weights + weight_bytes + vector_bytes);
  kernels::qs8_gemm_pack(source.weights.data(), node.channels_, static_cast<std::int32_t>(source.taps),
                         static_cast<std::int32_t>(source.in_channels), row.nr, row.kr, weights);
  const std::int64_t depth = source.taps * source.in_channels;
  for (std::int64_t c = 0; c < source.channels; ++c) {
    const std::int64_t sum =
        weight_sums(source.weights.subspan(static_cast<std::size_t>(c * depth), static_cast<std::size_t>(depth))).sum;
    bias[c] = static_cast<std::int32_t>(source.bias[static_cast<std::size_t>(c)] -
                                        (source.zero_point_in + kernels::kActOffset) * sum);
    multiplier[c] = source.multiplier[static_cast<std::size_t>(c)];
  }
  node.weights_ = weights;
  node.bias_ = bias;
  node.multiplier_ = multiplier;
  return node;
}

std::int64_t GemmNode::workspace_bytes() const {
  return round_up(kernels::qs8_gemm_workspace_bytes(row_.mr, row_.nr, row_.kr, k_groups_), 64);
}

void GemmNode::run(const Run& run, kernels::QS8GemmArgs geometry, std::int64_t pixels) const noexcept {
  geometry.k_groups = k_groups_;
  geometry.weights = weights_;
  geometry.bias = bias_;
  geometry.multiplier = multiplier_;
  geometry.channels = channels_;
  geometry.pixel_begin = 0;
  geometry.pixel_end = static_cast<std::int32_t>(pixels);
  geometry.panel_begin = 0;
  geometry.panel_end = panels_;
  const std::int64_t macs = pixels * channels_ * k_groups_ * 4;
  const std::int64_t row_tiles = ceil_div(pixels, row_.mr);
  // Along the longer side: pixels in multiples of the tile's height, or whole weight panels.
  const bool by_pixels = row_tiles >= panels_;
  const std::int64_t units = by_pixels ? row_tiles : panels_;
  for_ranges(run.parallel, units, tile_count(run.parallel, units, macs, kTileMacsMin),
             [&](std::int64_t begin, std::int64_t end, std::int32_t thread) {
               kernels::QS8GemmArgs args = geometry;
               args.workspace = run.scratch_of(thread);
               if (by_pixels) {
                 args.pixel_begin = static_cast<std::int32_t>(begin * row_.mr);
                 args.pixel_end = static_cast<std::int32_t>(std::min(end * row_.mr, pixels));
               } else {
                 args.panel_begin = static_cast<std::int32_t>(begin);
                 args.panel_end = static_cast<std::int32_t>(end);
               }
               row_.fn(args);
             });
}

}  // namespace edgeml
