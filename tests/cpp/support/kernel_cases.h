// SPDX-License-Identifier: Apache-2.0
// What the kernel tests share: the rows that this machine runs, and the data that kernels get wrong first.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "cpu/cpu_features.h"
#include "kernels/kernel_table.h"
#include "kernels/requantize.h"
#include "support/avxvnni_stand_in.h"

namespace edgeml::test {

// Rows of one family that this machine can run, ref included: it too has to stay inside its buffers.
template <class Fn>
std::vector<kernels::KernelRow<Fn>> runnable_rows() {
  const CpuFeatures features = detect_cpu_features();
  std::vector<kernels::KernelRow<Fn>> rows;
  for (const auto& row : kernels::KernelRows<Fn>::rows()) {
    if (isa_runs_on(row.isa, features)) rows.push_back(row);
  }
  for (const auto& row : avxvnni_stand_in_rows<Fn>(features)) rows.push_back(row);
  return rows;
}

template <class Fn>
const kernels::KernelRow<Fn>& ref_row() {
  return kernels::KernelRows<Fn>::rows().back();
}

enum class Pattern { random, all_min, all_max, alternating };

inline constexpr Pattern kPatterns[] = {Pattern::random, Pattern::all_min, Pattern::all_max, Pattern::alternating};

using Rng = std::mt19937;

template <class T>
void fill(std::span<T> values, Pattern pattern, T min, T max, Rng& rng) {
  std::uniform_int_distribution<std::int32_t> uniform(min, max);
  for (std::size_t i = 0; i < values.size(); ++i) {
    switch (pattern) {
      case Pattern::random:
        values[i] = static_cast<T>(uniform(rng));
        break;
      case Pattern::all_min:
        values[i] = min;
        break;
      case Pattern::all_max:
        values[i] = max;
        break;
      case Pattern::alternating:
        values[i] = i % 2 == 0 ? min : max;
        break;
    }
  }
}

inline constexpr auto kActMin = static_cast<kernels::act_t>(kernels::kActOffset - 128);
inline constexpr auto kActMax = static_cast<kernels::act_t>(kernels::kActOffset + 127);

inline void fill_activations(std::span<kernels::act_t> values, Pattern pattern, Rng& rng) {
  fill(values, pattern, kActMin, kActMax, rng);
}

// The stored form of results in [act_min, act_max] with zero point z, all in the canonical domain.
inline kernels::OutputRange output_range(std::int32_t act_min, std::int32_t act_max, std::int32_t z) {
  return {static_cast<float>(act_min - z), static_cast<float>(act_max - z), z + kernels::kActOffset};
}

// Whole range with the zero point at both ends and inside, and a fused activation.
inline std::vector<kernels::OutputRange> output_ranges() {
  return {output_range(-128, 127, 0), output_range(-128, 127, -128), output_range(-128, 127, 127),
          output_range(-5, 63, -5), output_range(3, 3, 17)};
}

enum class Multiplier { spread, ties, extremes };

inline constexpr Multiplier kMultipliers[] = {Multiplier::spread, Multiplier::ties, Multiplier::extremes};

// One multiplier that takes accumulators of the size |acc| ~ typical to about the width of an output: spread over two
// decades, a power of two (exact ties), or an end of the legal range.
inline float multiplier(Multiplier kind, float typical, Rng& rng) {
  switch (kind) {
    case Multiplier::spread:
      return 100.0F / typical * std::uniform_real_distribution<float>(0.1F, 10.0F)(rng);
    case Multiplier::ties:
      return std::bit_cast<float>(std::bit_cast<std::uint32_t>(64.0F / typical) & 0x7f800000U);
    case Multiplier::extremes:
      return rng() % 2 == 0 ? 0x1p-32F : 0x1.fffffep7F;
  }
  return 0.0F;
}

}  // namespace edgeml::test
