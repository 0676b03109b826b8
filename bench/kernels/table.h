// SPDX-License-Identifier: Apache-2.0
// The rows of a family that this machine runs, timed against each other and printed.
#pragma once

#include <cstdio>
#include <map>
#include <string>
#include <vector>

#include "cpu/cpu_features.h"
#include "kernels/kernel_table.h"
#include "peak.h"
#include "support/avxvnni_stand_in.h"
#include "timing.h"

namespace edgeml::bench {

// ref is the specification, not a competitor.
template <class Fn>
std::vector<kernels::KernelRow<Fn>> fast_rows() {
  const CpuFeatures features = detect_cpu_features();
  std::vector<kernels::KernelRow<Fn>> rows;
  for (const auto& row : kernels::KernelRows<Fn>::rows()) {
    if (row.isa != Isa::ref && isa_runs_on(row.isa, features)) rows.push_back(row);
  }
  for (const auto& row : test::avxvnni_stand_in_rows<Fn>(features)) rows.push_back(row);
  return rows;
}

// Times the candidates of one shape in turns and prints a line for each; adds the cycles to totals.
inline void print_shape(const std::string& shape, const char* unit, const std::vector<Candidate>& candidates,
                        std::map<std::string, double>& totals) {
  constexpr int kRounds = 31;
  const std::vector<double> cycles = median_cycles(candidates, kRounds);
  for (std::size_t i = 0; i < candidates.size(); ++i) {
    const double per_cycle = candidates[i].work / cycles[i];
    std::printf("%-34s %-34s %10.0f cycles %7.2f %s/cycle %5.1f %% of peak\n", shape.c_str(),
                candidates[i].name.c_str(), cycles[i], per_cycle, unit,
                100.0 * per_cycle / candidates[i].peak_per_cycle);
    totals[candidates[i].name] += cycles[i];
  }
}

inline void print_totals(const std::map<std::string, double>& totals) {
  for (const auto& [name, cycles] : totals)
    std::printf("%-34s %-34s %10.0f cycles\n", "sum of shapes", name.c_str(), cycles);
}

}  // namespace edgeml::bench
