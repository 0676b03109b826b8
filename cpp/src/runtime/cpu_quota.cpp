// SPDX-License-Identifier: Apache-2.0
#include "runtime/cpu_quota.h"

#include <sched.h>

#include <algorithm>
#include <climits>
#include <fstream>
#include <string>

namespace edgeml {
namespace {

int cpu_set_size() {
  cpu_set_t set;
  CPU_ZERO(&set);
  return sched_getaffinity(0, sizeof(set), &set) == 0 ? std::max(1, CPU_COUNT(&set)) : 1;
}

// Quota over period of the control group, version 2 ("max 100000" or "150000 100000") or version 1 (-1: none).
int cgroup_cpus() {
  std::string quota;
  double period = 0;
  if (std::ifstream file("/sys/fs/cgroup/cpu.max"); file >> quota >> period && quota != "max" && period > 0) {
    return std::max(1, static_cast<int>(std::strtod(quota.c_str(), nullptr) / period));
  }
  double quota_us = -1;
  std::ifstream quota_file("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  std::ifstream period_file("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  if (quota_file >> quota_us && period_file >> period && quota_us > 0 && period > 0) {
    return std::max(1, static_cast<int>(quota_us / period));
  }
  return INT_MAX;
}

}  // namespace

int usable_cpus() { return std::min(cpu_set_size(), cgroup_cpus()); }

}  // namespace edgeml
