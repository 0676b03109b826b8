// SPDX-License-Identifier: Apache-2.0
// Which level of isa.def is chosen: on recorded sets of features, and on the machine that runs this.
#include "cpu/cpu_features.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <vector>

namespace edgeml {
namespace {

std::vector<std::string> names_of(const CpuFeatures& features) {
  std::vector<std::string> names;
  for (const Isa isa : isas_of(features)) names.emplace_back(isa_name(isa));
  return names;
}

using Names = std::vector<std::string>;

TEST_CASE("ref runs everywhere and is preferred last") {
  CHECK(names_of({}) == Names{"ref"});
  CHECK(names_of(detect_cpu_features()).back() == "ref");
}

TEST_CASE("every level is found by its name, and no other name is one") {
  for (const Isa isa : isas_of(detect_cpu_features())) CHECK(isa_from_name(isa_name(isa)) == isa);
  CHECK(!isa_from_name("").has_value());
  CHECK(!isa_from_name("AVX2").has_value());
  CHECK(!isa_from_name("avx2 ").has_value());
}

TEST_CASE("levels of the other architecture never run") {
  const CpuFeatures everything{.sse41 = true,
                               .avx2 = true,
                               .fma = true,
                               .avxvnni = true,
                               .avx512f = true,
                               .avx512bw = true,
                               .avx512vl = true,
                               .avx512vbmi = true,
                               .avx512vnni = true,
                               .neon = true,
                               .dotprod = true,
                               .i8mm = true};
#if defined(__x86_64__)
  CHECK(names_of(everything) == Names{"avx512vnni", "avxvnni", "avx2", "sse41", "ref"});
#elif defined(__aarch64__)
  CHECK(names_of(everything) == Names{"neoni8mm", "neondot", "neon", "ref"});
#else
  CHECK(names_of(everything) == Names{"ref"});
#endif
}

#if defined(__x86_64__)
TEST_CASE("Nehalem, Haswell, Skylake-X, Cascade Lake, Alder Lake") {
  CpuFeatures f{.sse41 = true};
  CHECK(names_of(f) == Names{"sse41", "ref"});
  f.avx2 = f.fma = true;
  CHECK(names_of(f) == Names{"avx2", "sse41", "ref"});
  CpuFeatures alder_lake = f;
  alder_lake.avxvnni = true;
  CHECK(names_of(alder_lake) == Names{"avxvnni", "avx2", "sse41", "ref"});
  f.avx512f = f.avx512bw = f.avx512vl = true;
  CHECK(names_of(f) == Names{"avx2", "sse41", "ref"});
  f.avx512vnni = true;  // Cascade Lake has no byte permute (VBMI)
  CHECK(names_of(f) == Names{"avx2", "sse41", "ref"});
  f.avx512vbmi = true;
  CHECK(names_of(f) == Names{"avx512vnni", "avx2", "sse41", "ref"});
}
#elif defined(__aarch64__)
TEST_CASE("Cortex-A53, Cortex-A76, Neoverse N2") {
  CpuFeatures f{.neon = true};
  CHECK(names_of(f) == Names{"neon", "ref"});
  f.dotprod = true;
  CHECK(names_of(f) == Names{"neondot", "neon", "ref"});
  f.i8mm = true;
  CHECK(names_of(f) == Names{"neoni8mm", "neondot", "neon", "ref"});
}
#endif

TEST_CASE("the level chosen on this machine is the one that the caller of the test expects") {
  const char* expected = std::getenv("EDGEML_TEST_BEST_ISA");  // set by tools/test for the CPUs that QEMU stands in for
  if (expected == nullptr) return;
  CHECK(names_of(detect_cpu_features()).front() == expected);
}

}  // namespace
}  // namespace edgeml
