// SPDX-License-Identifier: Apache-2.0
#include "runtime/peak_rate.h"

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <vector>

#include "kernels/pack_weights.h"

namespace edgeml {

double peak_macs_per_s(const kernels::KernelRow<kernels::QS8GemmFn>& row) {
  // Deep sums, so that the epilogue does not count, and one weight panel, so that weights and activations share L1.
  constexpr std::int32_t kGroups = 96;
  const std::int32_t pixels = 4 * row.mr;
  const std::int32_t channels = row.nr;
  std::vector<std::int32_t> offsets(kGroups);
  for (std::int32_t g = 0; g < kGroups; ++g) offsets[static_cast<std::size_t>(g)] = g * pixels * 4;
  const std::vector<kernels::act_t> in(static_cast<std::size_t>(kGroups) * pixels * 4, kernels::act_t{1});
  const std::vector<std::int8_t> weights(
      static_cast<std::size_t>(kernels::qs8_gemm_packed_bytes(channels, kGroups, row.nr, row.kr)), std::int8_t{1});
  const std::vector<std::int32_t> bias(static_cast<std::size_t>(channels), 0);
  const std::vector<float> multiplier(static_cast<std::size_t>(channels), 0.01F);
  std::vector<kernels::act_t> out(static_cast<std::size_t>((channels + 3) / 4) * pixels * 4);
  std::vector<std::byte> workspace(
      static_cast<std::size_t>(kernels::qs8_gemm_workspace_bytes(row.mr, row.nr, row.kr, kGroups)) + 128);
  const auto address = reinterpret_cast<std::uintptr_t>(workspace.data());
  const kernels::QS8GemmArgs args{
      .in = in.data(),
      .group_offset = offsets.data(),
      .k_groups = kGroups,
      .out_w = pixels,
      .in_row_step = pixels * 4,
      .in_col_step = 4,
      .weights = weights.data(),
      .bias = bias.data(),
      .multiplier = multiplier.data(),
      .channels = channels,
      .out = out.data(),
      .out_plane_step = std::int64_t{pixels} * 4,
      .out_pixel_step = 4,
      .range = {-128.0F, 127.0F, kernels::kActOffset},
      .pixel_begin = 0,
      .pixel_end = pixels,
      .panel_begin = 0,
      .panel_end = 1,
      .workspace = workspace.data() + (64 - address % 64) % 64,
  };
  using Clock = std::chrono::steady_clock;
  const double macs = 4.0 * kGroups * pixels * channels;
  double best = 0;
  const auto end = Clock::now() + std::chrono::milliseconds(20);
  while (Clock::now() < end) {
    constexpr int kRuns = 16;
    const auto start = Clock::now();
    for (int run = 0; run < kRuns; ++run) row.fn(args);
    best = std::max(best, kRuns * macs / std::chrono::duration<double>(Clock::now() - start).count());
  }
  return best;
}

}  // namespace edgeml
