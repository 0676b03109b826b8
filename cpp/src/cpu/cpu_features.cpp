// SPDX-License-Identifier: Apache-2.0
#include "cpu/cpu_features.h"

#if defined(__x86_64__)
#include <cpuid.h>
#elif defined(__aarch64__)
#include <sys/auxv.h>
#endif

#include <cstdint>

namespace edgeml {
namespace {

struct IsaRow {
  Isa isa;
  std::string_view name;
  std::string_view arch;
  bool (*condition)(const CpuFeatures&);
};

constexpr IsaRow kIsaRows[] = {
#define EDGEML_ISA(name, arch, condition) \
  {Isa::name, #name, #arch, []([[maybe_unused]] const CpuFeatures& f) { return static_cast<bool>(condition); }},
#include "cpu/isa.def"
#undef EDGEML_ISA
};

#if defined(__x86_64__)
constexpr std::string_view kArch = "x86_64";

constexpr bool bit(std::uint32_t word, int index) { return (word >> index & 1U) != 0; }

std::uint64_t read_xcr0() noexcept {
  std::uint32_t lo = 0;
  std::uint32_t hi = 0;
  __asm__ volatile("xgetbv" : "=a"(lo), "=d"(hi) : "c"(0));
  return std::uint64_t{hi} << 32 | lo;
}

CpuFeatures detect() noexcept {
  CpuFeatures f;
  std::uint32_t a = 0, b = 0, c = 0, d = 0;
  if (!__get_cpuid(1, &a, &b, &c, &d)) return f;
  f.sse41 = bit(c, 19);
  const bool osxsave = bit(c, 27);
  const std::uint64_t xcr0 = osxsave ? read_xcr0() : 0;
  const bool ymm = (xcr0 & 0x6) == 0x6;
  const bool zmm = (xcr0 & 0xe6) == 0xe6;
  f.fma = ymm && bit(c, 12);
  if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return f;
  f.avx2 = ymm && bit(b, 5);
  f.avx512f = zmm && bit(b, 16);
  f.avx512bw = zmm && bit(b, 30);
  f.avx512vl = zmm && bit(b, 31);
  f.avx512vbmi = zmm && bit(c, 1);
  f.avx512vnni = zmm && bit(c, 11);
  if (__get_cpuid_count(7, 1, &a, &b, &c, &d)) f.avxvnni = ymm && bit(a, 4);
  return f;
}
#elif defined(__aarch64__)
constexpr std::string_view kArch = "aarch64";

// Bits of AT_HWCAP and AT_HWCAP2 as the Linux kernel numbers them (arch/arm64/include/uapi/asm/hwcap.h).
constexpr unsigned long kHwcapAsimd = 1UL << 1;
constexpr unsigned long kHwcapAsimdDp = 1UL << 20;
constexpr unsigned long kHwcap2I8mm = 1UL << 13;

CpuFeatures detect() noexcept {
  CpuFeatures f;
  const unsigned long hwcap = getauxval(AT_HWCAP);
  f.neon = (hwcap & kHwcapAsimd) != 0;
  f.dotprod = (hwcap & kHwcapAsimdDp) != 0;
  f.i8mm = (getauxval(AT_HWCAP2) & kHwcap2I8mm) != 0;
  return f;
}
#else
constexpr std::string_view kArch = "any";

CpuFeatures detect() noexcept { return {}; }
#endif

}  // namespace

CpuFeatures detect_cpu_features() noexcept { return detect(); }

std::string_view isa_name(Isa isa) noexcept { return kIsaRows[static_cast<int>(isa)].name; }

std::optional<Isa> isa_from_name(std::string_view name) noexcept {
  for (const IsaRow& row : kIsaRows) {
    if (row.name == name) return row.isa;
  }
  return std::nullopt;
}

bool isa_runs_on(Isa isa, const CpuFeatures& features) noexcept {
  const IsaRow& row = kIsaRows[static_cast<int>(isa)];
  return (row.arch == kArch || row.arch == "any") && row.condition(features);
}

std::vector<Isa> isas_of(const CpuFeatures& features) {
  std::vector<Isa> isas;
  for (const IsaRow& row : kIsaRows) {
    if (isa_runs_on(row.isa, features)) isas.push_back(row.isa);
  }
  return isas;
}

}  // namespace edgeml
