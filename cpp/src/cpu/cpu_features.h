// SPDX-License-Identifier: Apache-2.0
// What this machine can run, and the ISA levels of isa.def that follow from it.
#pragma once

#include <optional>
#include <string_view>
#include <vector>

namespace edgeml {

struct CpuFeatures {
  bool sse41 = false, avx2 = false, fma = false, avxvnni = false;
  bool avx512f = false, avx512bw = false, avx512vl = false, avx512vbmi = false, avx512vnni = false;
  bool neon = false, dotprod = false, i8mm = false;
};

// In the order of isa.def: a smaller value is preferred.
enum class Isa : int {
#define EDGEML_ISA(name, arch, condition) name,
#include "cpu/isa.def"
#undef EDGEML_ISA
};

// Asks the CPU and, for the wide registers, whether the operating system saves them.
CpuFeatures detect_cpu_features() noexcept;

std::string_view isa_name(Isa isa) noexcept;
std::optional<Isa> isa_from_name(std::string_view name) noexcept;

// True if a machine with these features can run the level, and this build is for its architecture.
bool isa_runs_on(Isa isa, const CpuFeatures& features) noexcept;

// Every level that runs on a machine with these features, preferred first; ref is always there, last.
std::vector<Isa> isas_of(const CpuFeatures& features);

}  // namespace edgeml
