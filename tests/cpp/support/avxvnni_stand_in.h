// SPDX-License-Identifier: Apache-2.0
// The rows of the avxvnni level, runnable on a CPU that has AVX512-VNNI with 256-bit registers instead: the same
// sources, compiled for that (cmake/avxvnni_stand_in.cmake).
#pragma once

#include <vector>

#include "cpu/cpu_features.h"
#include "kernels/kernel_table.h"

namespace edgeml::test {

#if defined(__x86_64__)
// Empty where the stand-in is not needed (the CPU has AVX-VNNI) or does not run.
template <class Fn>
std::vector<kernels::KernelRow<Fn>> avxvnni_stand_in_rows(const CpuFeatures& features);
#else
template <class Fn>
std::vector<kernels::KernelRow<Fn>> avxvnni_stand_in_rows(const CpuFeatures& /*features*/) {
  return {};
}
#endif

}  // namespace edgeml::test
