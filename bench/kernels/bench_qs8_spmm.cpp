// SPDX-License-Identifier: Apache-2.0
// qs8_spmm against qs8_gemm of the same level in the same run: pointwise layers of 192 pixels and 384 channels, shallow
// and deep, at several shares of zero blocks. Prints dense-equivalent multiply-accumulates per cycle and how many times
// faster than dense that is; at the end the rates of layer_rates.def that fit the measurements.
#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "families.h"
#include "kernels/pack_weights.h"
#include "kernels/qs8_spmm/qs8_spmm_pack.h"
#include "table.h"

namespace edgeml::bench {
namespace {

using namespace edgeml::kernels;  // NOLINT: the benchmark is about this namespace

constexpr std::int32_t kPixels = 192;
constexpr std::int32_t kChannels = 384;
constexpr std::int32_t kRowsOfBlocks[] = {1, 2, 4};
constexpr double kZeros[] = {0.0, 0.5, 0.8, 0.9, 0.95};
constexpr int kRounds = 31;

// Planes as in an activation: not a multiple of 4096 apart.
constexpr std::int32_t kPlaneStep = kPixels * 4;

struct Buffers {
  AlignedBuffer in, out;  // as activations are: planes begin at cache lines
  std::vector<std::int32_t> bias = std::vector<std::int32_t>(kChannels);
  std::vector<float> multiplier = std::vector<float>(kChannels, 0.001F);
  explicit Buffers(std::int32_t depth)
      : in(AlignedBuffer::allocate(depth / 4 * std::int64_t{kPlaneStep})),
        out(AlignedBuffer::allocate(kChannels / 4 * std::int64_t{kPlaneStep})) {}
};

std::function<void()> dense_run(const KernelRow<QS8GemmFn>& row, std::int32_t depth) {
  struct Problem : Buffers {
    using Buffers::Buffers;
    std::vector<std::int8_t> packed;
    std::vector<std::int32_t> group_offset;
    std::vector<std::uint64_t> workspace;
    QS8GemmArgs args{};
  };
  auto p = std::make_shared<Problem>(depth);
  const std::int32_t k_groups = depth / 4;
  for (std::int32_t g = 0; g < k_groups; ++g) p->group_offset.push_back(g * kPlaneStep);
  const std::vector<std::int8_t> weights(static_cast<std::size_t>(kChannels) * depth, 3);
  p->packed.resize(static_cast<std::size_t>(qs8_gemm_packed_bytes(kChannels, k_groups, row.nr, row.kr)));
  qs8_gemm_pack(weights.data(), kChannels, 1, depth, row.nr, row.kr, p->packed.data());
  p->workspace.resize(static_cast<std::size_t>(qs8_gemm_workspace_bytes(row.mr, row.nr, row.kr, k_groups) / 8 + 1));
  p->args.in = p->in.as<act_t>();
  p->args.group_offset = p->group_offset.data();
  p->args.k_groups = k_groups;
  p->args.out_w = kPixels;
  p->args.in_row_step = kPlaneStep;
  p->args.in_col_step = 4;
  p->args.weights = p->packed.data();
  p->args.bias = p->bias.data();
  p->args.multiplier = p->multiplier.data();
  p->args.channels = kChannels;
  p->args.out = p->out.as<act_t>();
  p->args.out_plane_step = kPlaneStep;
  p->args.out_pixel_step = 4;
  p->args.range = {-128.0F, 127.0F, kActOffset};
  p->args.pixel_end = kPixels;
  p->args.panel_end = (kChannels + row.nr - 1) / row.nr;
  p->args.workspace = p->workspace.data();
  return [p, fn = row.fn] { fn(p->args); };
}

std::function<void()> sparse_run(const KernelRow<QS8SpmmFn>& row, std::int32_t depth, std::int32_t block_rows,
                                 double zeros) {
  struct Problem : Buffers {
    using Buffers::Buffers;
    std::vector<std::int8_t> packed;
    std::vector<std::int32_t> row_begin{0}, offset;
    QS8SpmmArgs args{};
  };
  auto p = std::make_shared<Problem>(depth);
  std::mt19937 rng(7);
  std::bernoulli_distribution present(1.0 - zeros);
  const std::vector<std::int8_t> block(static_cast<std::size_t>(block_rows) * 4, 3);
  const std::int64_t block_bytes = qs8_spmm_block_bytes(block_rows, row.kr);
  for (std::int32_t r = 0; r < kChannels / block_rows; ++r) {
    for (std::int32_t g = 0; g < depth / 4; ++g) {
      if (!present(rng)) continue;
      p->offset.push_back(g * kPlaneStep);
      p->packed.resize(p->packed.size() + static_cast<std::size_t>(block_bytes));
      qs8_spmm_pack(block.data(), block_rows, row.kr, p->packed.data() + p->packed.size() - block_bytes);
    }
    p->row_begin.push_back(static_cast<std::int32_t>(p->offset.size()));
  }
  p->args.in = p->in.as<act_t>();
  p->args.row_begin = p->row_begin.data();
  p->args.offset = p->offset.data();
  p->args.weights = p->packed.data();
  p->args.bias = p->bias.data();
  p->args.multiplier = p->multiplier.data();
  p->args.block_rows = block_rows;
  p->args.out = p->out.as<act_t>();
  p->args.out_plane_step = kPlaneStep;
  p->args.range = {-128.0F, 127.0F, kActOffset};
  p->args.pixel_end = kPixels;
  p->args.plane_end = kChannels / 4;
  return [p, fn = row.fn] { fn(p->args); };
}

// Cycles = macs / rate + outputs * per_output through two layers that differ in their products alone.
void print_rate(const char* what, double macs_a, double cycles_a, double macs_b, double cycles_b) {
  const double rate = (macs_b - macs_a) / (cycles_b - cycles_a);
  const double per_output = (cycles_a - macs_a / rate) / (kPixels * kChannels);
  std::printf("  %-8s %6.1f MAC/cycle, %5.2f cycles an output\n", what, rate, per_output);
}

void bench_level(const KernelRow<QS8GemmFn>& dense, const KernelRow<QS8SpmmFn>& sparse) {
  std::printf("%s against %s, P=%d N=%d: MAC/cycle of a dense layer, and times faster than dense\n", sparse.name,
              dense.name, kPixels, kChannels);
  std::printf("%-8s%-14s", "K", "dense");
  for (const double zeros : kZeros) std::printf("     %3.0f %% zeros", 100 * zeros);
  std::printf("\n");
  std::vector<double> dense_fit;
  std::vector<double> sparse_fit[std::size(kRowsOfBlocks)];
  for (const std::int32_t depth : {96, 512}) {
    std::vector<Candidate> candidates{{"dense", 0, 1, dense_run(dense, depth)}};
    for (const std::int32_t r : kRowsOfBlocks) {
      for (const double zeros : kZeros) candidates.push_back({"", 0, 1, sparse_run(sparse, depth, r, zeros)});
    }
    const std::vector<double> cycles = median_cycles(candidates, kRounds);
    const double macs = double{kPixels} * kChannels * depth;
    dense_fit.push_back(cycles[0]);
    std::size_t at = 1;
    for (std::size_t i = 0; i < std::size(kRowsOfBlocks); ++i) {
      std::printf("%-4d%dx4 %-14.1f", depth, kRowsOfBlocks[i], macs / cycles[0]);
      sparse_fit[i].push_back(cycles[at]);
      for (std::size_t z = 0; z < std::size(kZeros); ++z, ++at) {
        std::printf("%8.0f %5.2fx", macs / cycles[at], cycles[0] / cycles[at]);
      }
      std::printf("\n");
    }
  }
  const double macs = double{kPixels} * kChannels;
  print_rate("dense", macs * 96, dense_fit[0], macs * 512, dense_fit[1]);
  for (std::size_t i = 0; i < std::size(kRowsOfBlocks); ++i) {
    const std::string what = std::to_string(kRowsOfBlocks[i]) + "x4";
    print_rate(what.c_str(), macs * 96, sparse_fit[i][0], macs * 512, sparse_fit[i][1]);
  }
}

}  // namespace

void bench_qs8_spmm() {
  for (const auto& sparse : fast_rows<QS8SpmmFn>()) {
    for (const auto& dense : fast_rows<QS8GemmFn>()) {
      if (dense.isa == sparse.isa) bench_level(dense, sparse);
    }
  }
}

}  // namespace edgeml::bench
