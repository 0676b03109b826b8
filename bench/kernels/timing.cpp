// SPDX-License-Identifier: Apache-2.0
#include "timing.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstdint>

namespace edgeml::bench {
namespace {

using Clock = std::chrono::steady_clock;

double nanoseconds_of(const std::function<void()>& run, int repeats) {
  const auto begin = Clock::now();
  for (int i = 0; i < repeats; ++i) run();
  return std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
}

// 20000 additions, each waiting for the one before.
double cycles_per_ns() {
  constexpr int kAdds = 20000;
  std::uint64_t value = 1;
  const auto begin = Clock::now();
  for (int i = 0; i < kAdds / 10; ++i) {
#if defined(__x86_64__)
    __asm__ volatile(
        "add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\t"
        "add $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0\n\tadd $1, %0"
        : "+r"(value));
#elif defined(__aarch64__)
    __asm__ volatile(
        "add %0, %0, #1\n\tadd %0, %0, #1\n\tadd %0, %0, #1\n\tadd %0, %0, #1\n\tadd %0, %0, #1\n\t"
        "add %0, %0, #1\n\tadd %0, %0, #1\n\tadd %0, %0, #1\n\tadd %0, %0, #1\n\tadd %0, %0, #1"
        : "+r"(value));
#endif
  }
  return kAdds / std::chrono::duration<double, std::nano>(Clock::now() - begin).count();
}

double median(std::vector<double>& values) {
  std::nth_element(values.begin(), values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2), values.end());
  return values[values.size() / 2];
}

}  // namespace

std::vector<double> median_cycles(const std::vector<Candidate>& candidates, int rounds) {
  constexpr double kSampleNs = 50e3;  // long against the clock's resolution, short against a scheduler's slice
  std::vector<int> repeats;
  for (const Candidate& candidate : candidates) {
    candidate.run();
    repeats.push_back(std::max(1, static_cast<int>(kSampleNs / std::max(1.0, nanoseconds_of(candidate.run, 1)))));
  }
  std::vector<std::vector<double>> cycles(candidates.size());
  for (int round = 0; round < rounds; ++round) {
    for (std::size_t i = 0; i < candidates.size(); ++i) {
      const double before = cycles_per_ns();
      const double ns = nanoseconds_of(candidates[i].run, repeats[i]) / repeats[i];
      cycles[i].push_back(ns * std::max(before, cycles_per_ns()));
    }
  }
  std::vector<double> medians;
  for (auto& samples : cycles) medians.push_back(median(samples));
  return medians;
}

void pin_to_current_cpu() {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(static_cast<std::size_t>(sched_getcpu()), &set);
  sched_setaffinity(0, sizeof set, &set);
}

}  // namespace edgeml::bench
