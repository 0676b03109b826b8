// SPDX-License-Identifier: Apache-2.0
// How many threads the machine gives this process: its CPU set and its cgroup quota.
#pragma once

namespace edgeml {

// At least 1. A quota of one and a half CPUs counts as one: a second thread would be throttled in every period.
int usable_cpus();

}  // namespace edgeml
