// SPDX-License-Identifier: Apache-2.0
#include "ops/skipping_gemm.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "kernels/pack_weights.h"

namespace edgeml {
namespace {

// By panel and depth word: whether one of the panel's channels has a weight there.
std::vector<std::vector<bool>> kept_words(std::int32_t nr, const BlockSparse& w) {
  std::vector<std::vector<bool>> kept(static_cast<std::size_t>(ceil_div(w.channels, nr)),
                                      std::vector<bool>(static_cast<std::size_t>(w.groups)));
  for_each_block(w, [&](std::int64_t row, std::int64_t group, const std::int8_t*) {
    kept[static_cast<std::size_t>(row * w.block_rows / nr)][static_cast<std::size_t>(group)] = true;
  });
  return kept;
}

}  // namespace

double SkippingGemm::kept_share(const kernels::KernelRow<kernels::QS8GemmFn>& row, const BlockSparse& weights) {
  double kept = 0;
  const auto words = kept_words(row.nr, weights);
  for (const auto& panel : words) kept += static_cast<double>(std::count(panel.begin(), panel.end(), true));
  return kept / (static_cast<double>(words.size()) * static_cast<double>(weights.groups));
}

Result<SkippingGemm> SkippingGemm::pack(const kernels::KernelRow<kernels::QS8GemmFn>& row, const Source& source) {
  const BlockSparse& w = source.weights;
  SkippingGemm node;
  node.row_ = row;
  node.channels_ = static_cast<std::int32_t>(w.channels);
  auto kept = kept_words(row.nr, w);
  const auto padded = kept.size() * static_cast<std::size_t>(row.nr);
  node.bias_.resize(padded);
  node.multiplier_.resize(padded);
  std::copy(source.bias.begin(), source.bias.end(), node.bias_.begin());
  std::copy(source.multiplier.begin(), source.multiplier.end(), node.multiplier_.begin());
  std::vector<std::vector<std::int32_t>> place;  // by panel and word: which of the kept ones it is
  std::vector<std::vector<std::int8_t>> dense;   // by panel: [channel of the panel][kept word][4]
  for (auto& panel : kept) {
    if (std::find(panel.begin(), panel.end(), true) == panel.end()) panel[0] = true;
    std::vector<std::int32_t>& places = place.emplace_back(panel.size());
    std::vector<std::int32_t>& offsets = node.panels_.emplace_back().group_offset;
    for (std::size_t g = 0; g < panel.size(); ++g) {
      if (!panel[g]) continue;
      places[g] = static_cast<std::int32_t>(offsets.size());
      offsets.push_back(source.group_offset[g]);
    }
    node.kept_words_ += static_cast<std::int64_t>(offsets.size());
    dense.emplace_back(static_cast<std::size_t>(row.nr) * offsets.size() * 4);
  }
  const auto zero_point = static_cast<std::uint32_t>(source.zero_point_in + kernels::kActOffset);
  for_each_block(w, [&](std::int64_t block_row, std::int64_t group, const std::int8_t* block) {
    for (std::int64_t i = 0; i < w.block_rows && block_row * w.block_rows + i < w.channels; ++i, block += 4) {
      const std::int64_t channel = block_row * w.block_rows + i;
      const auto p = static_cast<std::size_t>(channel / row.nr);
      const auto words = static_cast<std::int64_t>(node.panels_[p].group_offset.size());
      const std::int64_t word = channel % row.nr * words + place[p][static_cast<std::size_t>(group)];
      std::memcpy(dense[p].data() + 4 * word, block, 4);
      // Unsigned: a part of the sum may leave int32 where the whole does not (numerics.md, section 1).
      auto& folded = reinterpret_cast<std::uint32_t&>(node.bias_[static_cast<std::size_t>(channel)]);
      folded -= zero_point * static_cast<std::uint32_t>(block[0] + block[1] + block[2] + block[3]);
    }
  });
  for (std::size_t p = 0; p < node.panels_.size(); ++p) {
    Panel& panel = node.panels_[p];
    const auto words = static_cast<std::int32_t>(panel.group_offset.size());
    panel.weights = AlignedBuffer::allocate(kernels::qs8_gemm_packed_bytes(row.nr, words, row.nr, row.kr));
    if (panel.weights.empty()) return fail(ErrorCode::out_of_memory, "no memory for the weights of a layer");
    kernels::qs8_gemm_pack(dense[p].data(), row.nr, words, 4, row.nr, row.kr, panel.weights.as<std::int8_t>());
  }
  return node;
}

std::int64_t SkippingGemm::packed_bytes() const {
  std::int64_t bytes = 0;
  for (const Panel& panel : panels_) bytes += panel.weights.size();
  return bytes;
}

std::int64_t SkippingGemm::workspace_bytes() const {
  std::size_t most = 0;
  for (const Panel& panel : panels_) most = std::max(most, panel.group_offset.size());
  return round_up(kernels::qs8_gemm_workspace_bytes(row_.mr, row_.nr, row_.kr, static_cast<std::int32_t>(most)), 64);
}

void SkippingGemm::run(const Run& run, const kernels::QS8GemmArgs& geometry, std::int64_t pixels) const noexcept {
  const auto count = static_cast<std::int64_t>(panels_.size());
  const std::int64_t macs = pixels * kept_words_ * 4 * row_.nr;
  for_ranges(run.parallel, count, tile_count(run.parallel, count, macs, kTileMacsMin),
             [&](std::int64_t begin, std::int64_t end, std::int32_t thread) {
               for (std::int64_t p = begin; p < end; ++p) {
                 const Panel& panel = panels_[static_cast<std::size_t>(p)];
                 kernels::QS8GemmArgs args = geometry;
                 args.group_offset = panel.group_offset.data();
                 args.k_groups = static_cast<std::int32_t>(panel.group_offset.size());
                 args.weights = panel.weights.as<std::int8_t>();
                 args.bias = bias_.data() + p * row_.nr;
                 args.multiplier = multiplier_.data() + p * row_.nr;
                 args.channels = static_cast<std::int32_t>(std::min<std::int64_t>(row_.nr, channels_ - p * row_.nr));
                 args.out = geometry.out + p * (row_.nr / 4) * geometry.out_plane_step;
                 args.pixel_begin = 0;
                 args.pixel_end = static_cast<std::int32_t>(pixels);
                 args.panel_begin = 0;
                 args.panel_end = 1;
                 args.workspace = run.scratch_of(thread);
                 row_.fn(args);
               }
             });
}

}  // namespace edgeml
