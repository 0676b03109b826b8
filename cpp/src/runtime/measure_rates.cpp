// SPDX-License-Identifier: Apache-2.0
#include "runtime/measure_rates.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "base/aligned_buffer.h"
#include "kernels/pack_weights.h"
#include "kernels/qs8_spmm/qs8_spmm_pack.h"

namespace edgeml {
namespace {

using kernels::act_t;

// A pointwise layer of the middle of an image network, shallow and deep; of the sparse one, one block in five is there.
constexpr std::int32_t kPixels = 192;
constexpr std::int32_t kChannels = 128;
constexpr std::int32_t kDepths[] = {64, 512};
constexpr std::int32_t kKeptOneIn = 5;
constexpr std::int32_t kPlaneStep = kPixels * 4;
constexpr double kOutputs = double{kPixels} * kChannels;
constexpr auto kMeasureFor = std::chrono::milliseconds(60);
constexpr double kTimeMin = 1e-3;  // nanoseconds: a fit through noise never gives a rate of zero or less

// Activations, bias and multipliers of a layer of any form.
struct Layer {
  explicit Layer(std::int32_t depth)
      : in(AlignedBuffer::allocate(depth / 4 * std::int64_t{kPlaneStep})),
        out(AlignedBuffer::allocate(kChannels / 4 * std::int64_t{kPlaneStep})),
        bias(kChannels),
        multiplier(kChannels, 0.001F) {}
  AlignedBuffer in, out;
  std::vector<std::int32_t> bias;
  std::vector<float> multiplier;
};

// The shortest run in nanoseconds.
template <class Run>
double time_ns(const Run& run) {
  using Clock = std::chrono::steady_clock;
  double best = 1e18;
  const auto end = Clock::now() + kMeasureFor;
  while (Clock::now() < end) {
    const auto start = Clock::now();
    run();
    best = std::min(best, std::chrono::duration<double, std::nano>(Clock::now() - start).count());
  }
  return best;
}

double time_dense(const kernels::KernelRow<kernels::QS8GemmFn>& row, std::int32_t depth) {
  const Layer layer(depth);
  const std::int32_t k_groups = depth / 4;
  std::vector<std::int32_t> group_offset;
  group_offset.reserve(static_cast<std::size_t>(k_groups));
  for (std::int32_t g = 0; g < k_groups; ++g) group_offset.push_back(g * kPlaneStep);
  const std::vector<std::int8_t> weights(
      static_cast<std::size_t>(kernels::qs8_gemm_packed_bytes(kChannels, k_groups, row.nr, row.kr)), std::int8_t{1});
  const AlignedBuffer workspace =
      AlignedBuffer::allocate(kernels::qs8_gemm_workspace_bytes(row.mr, row.nr, row.kr, k_groups));
  const kernels::QS8GemmArgs args{.in = layer.in.as<act_t>(),
                                  .group_offset = group_offset.data(),
                                  .k_groups = k_groups,
                                  .out_w = kPixels,
                                  .in_row_step = kPlaneStep,
                                  .in_col_step = 4,
                                  .weights = weights.data(),
                                  .bias = layer.bias.data(),
                                  .multiplier = layer.multiplier.data(),
                                  .channels = kChannels,
                                  .out = layer.out.as<act_t>(),
                                  .out_plane_step = kPlaneStep,
                                  .out_pixel_step = 4,
                                  .range = {-128.0F, 127.0F, kernels::kActOffset},
                                  .pixel_begin = 0,
                                  .pixel_end = kPixels,
                                  .panel_begin = 0,
                                  .panel_end = (kChannels + row.nr - 1) / row.nr,
                                  .workspace = workspace.data()};
  return time_ns([&] { row.fn(args); });
}

struct Timed {
  double macs, ns;
};

Timed time_sparse(const kernels::KernelRow<kernels::QS8SpmmFn>& row, std::int32_t depth, std::int32_t block_rows) {
  const Layer layer(depth);
  const std::int32_t k_groups = depth / 4;
  std::vector<std::int32_t> row_begin{0};
  std::vector<std::int32_t> offset;
  for (std::int32_t r = 0; r < kChannels / block_rows; ++r) {
    // Rows of several lengths, as after pruning: what a loop's end costs is part of the rate.
    const std::int32_t wanted = k_groups / kKeptOneIn + r % 5 - 2;
    const std::int32_t blocks = kernels::qs8_spmm_row_blocks(std::clamp(wanted, 1, k_groups), row.kr);
    for (std::int32_t b = 0; b < blocks; ++b)
      offset.push_back(static_cast<std::int32_t>(std::int64_t{b} * k_groups / blocks + r) % k_groups * kPlaneStep);
    row_begin.push_back(static_cast<std::int32_t>(offset.size()));
  }
  const std::vector<std::int8_t> weights(
      offset.size() * static_cast<std::size_t>(kernels::qs8_spmm_block_bytes(block_rows, row.kr)), std::int8_t{1});
  const kernels::QS8SpmmArgs args{.in = layer.in.as<act_t>(),
                                  .row_begin = row_begin.data(),
                                  .offset = offset.data(),
                                  .weights = weights.data(),
                                  .bias = layer.bias.data(),
                                  .multiplier = layer.multiplier.data(),
                                  .block_rows = block_rows,
                                  .out = layer.out.as<act_t>(),
                                  .out_plane_step = kPlaneStep,
                                  .range = {-128.0F, 127.0F, kernels::kActOffset},
                                  .strips = nullptr,
                                  .pixel_begin = 0,
                                  .pixel_end = kPixels,
                                  .plane_begin = 0,
                                  .plane_end = kChannels / 4};
  const double macs = double{kPixels} * static_cast<double>(offset.size()) * 4 * block_rows;
  return {macs, time_ns([&] { row.fn(args); })};
}

struct Fit {
  double rate, output_ns;
};

// ns = macs / rate + outputs * output_ns through two points.
Fit fit(const Timed& shallow, const Timed& deep) {
  const double rate = (deep.macs - shallow.macs) / std::max(deep.ns - shallow.ns, kTimeMin);
  return {rate, std::max(0.0, (shallow.ns - shallow.macs / rate) / kOutputs)};
}

}  // namespace

LayerRates measure_layer_rates(const kernels::KernelTable& table) {
  LayerRates rates{};
  rates.lanes = table.qs8_spmm.mr;
  const Fit dense = fit({kOutputs * kDepths[0], time_dense(table.qs8_gemm, kDepths[0])},
                        {kOutputs * kDepths[1], time_dense(table.qs8_gemm, kDepths[1])});
  rates.dense = dense.rate;
  rates.dense_output = dense.output_ns;
  for (std::size_t i = 0; i < kBlockRows.size(); ++i) {
    const Fit sparse = fit(time_sparse(table.qs8_spmm, kDepths[0], kBlockRows[i]),
                           time_sparse(table.qs8_spmm, kDepths[1], kBlockRows[i]));
    rates.sparse[i] = sparse.rate;
    rates.sparse_output = std::max(rates.sparse_output, sparse.output_ns);
  }
  return rates;
}

}  // namespace edgeml
