// SPDX-License-Identifier: Apache-2.0
// Time in core cycles without performance counters: nanoseconds times the clock rate that a chain of dependent
// additions, one cycle each, shows at that moment.
#pragma once

#include <functional>
#include <string>
#include <vector>

namespace edgeml::bench {

// One thing to time. work: what a run does, in units of peak (multiply-accumulates or bytes).
struct Candidate {
  std::string name;
  double work;
  double peak_per_cycle;
  std::function<void()> run;
};

// Median cycles of one run of each candidate. The candidates take turns, so that a slower clock or a noisy neighbour
// meets all of them.
std::vector<double> median_cycles(const std::vector<Candidate>& candidates, int rounds);

// Keeps the process on the CPU it is on.
void pin_to_current_cpu();

}  // namespace edgeml::bench
