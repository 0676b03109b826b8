// SPDX-License-Identifier: Apache-2.0
#include "peak.h"

#include <cstdint>
#include <cstring>
#include <vector>

#include "timing.h"

#if defined(__x86_64__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

namespace edgeml::bench {
namespace {

constexpr int kLoops = 2000;

// Twelve independent accumulators hide the latency; the empty asm keeps each a register of its own.
#define EDGEML_PEAK_ROUND(step) \
  step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7) step(8) step(9) step(10) step(11)

#if defined(__x86_64__)
__attribute__((target("avx512f,avx512vnni"))) void run_avx512vnni() {
  __m512i acc[12] = {};
  __m512i x = _mm512_set1_epi32(1);
  for (int i = 0; i < kLoops; ++i) {
#define EDGEML_STEP(j) __asm__ volatile("vpdpbusd %1, %1, %0" : "+v"(acc[j]) : "v"(x));
    EDGEML_PEAK_ROUND(EDGEML_STEP)
#undef EDGEML_STEP
  }
}

__attribute__((target("avx2"))) void run_avxvnni() {
  __m256i acc[12] = {};
  __m256i x = _mm256_set1_epi32(1);
  for (int i = 0; i < kLoops; ++i) {
#define EDGEML_STEP(j) __asm__ volatile("%{vex%} vpdpbusd %1, %1, %0" : "+x"(acc[j]) : "x"(x));
    EDGEML_PEAK_ROUND(EDGEML_STEP)
#undef EDGEML_STEP
  }
}

// Of the rows that stand in for avxvnni.
__attribute__((target("avx2"))) void run_avxvnni_stand_in() {
  __m256i acc[12] = {};
  __m256i x = _mm256_set1_epi32(1);
  for (int i = 0; i < kLoops; ++i) {
#define EDGEML_STEP(j) __asm__ volatile("%{evex%} vpdpbusd %1, %1, %0" : "+x"(acc[j]) : "x"(x));
    EDGEML_PEAK_ROUND(EDGEML_STEP)
#undef EDGEML_STEP
  }
}

// The exact pair: int16 products summed to int32, then added. The two-operand form of SSE needs a copy, which costs no
// arithmetic.
__attribute__((target("sse4.1"))) void run_sse41() {
  __m128i acc[12] = {};
  __m128i x = _mm_set1_epi16(1);
  for (int i = 0; i < kLoops; ++i) {
#define EDGEML_STEP(j)                                                                                           \
  {                                                                                                              \
    __m128i product;                                                                                             \
    __asm__ volatile("movdqa %2, %1\n\tpmaddwd %2, %1\n\tpaddd %1, %0" : "+x"(acc[j]), "=&x"(product) : "x"(x)); \
  }
    EDGEML_PEAK_ROUND(EDGEML_STEP)
#undef EDGEML_STEP
  }
}

// The exact pair: int16 products summed to int32, then added.
__attribute__((target("avx2"))) void run_avx2() {
  __m256i acc[12] = {};
  __m256i x = _mm256_set1_epi16(1);
  for (int i = 0; i < kLoops; ++i) {
#define EDGEML_STEP(j)                                                                                    \
  {                                                                                                       \
    __m256i product;                                                                                      \
    __asm__ volatile("vpmaddwd %2, %2, %1\n\tvpaddd %1, %0, %0" : "+x"(acc[j]), "=&x"(product) : "x"(x)); \
  }
    EDGEML_PEAK_ROUND(EDGEML_STEP)
#undef EDGEML_STEP
  }
}
#elif defined(__aarch64__)
void run_neondot() {
  int32x4_t acc[12] = {};
  int8x16_t x = vdupq_n_s8(1);
  for (int i = 0; i < kLoops; ++i) {
#define EDGEML_STEP(j) \
  __asm__ volatile(".arch armv8.2-a+dotprod\n\tsdot %0.4s, %1.16b, %1.16b" : "+w"(acc[j]) : "w"(x));
    EDGEML_PEAK_ROUND(EDGEML_STEP)
#undef EDGEML_STEP
  }
}
#endif
#undef EDGEML_PEAK_ROUND

double rate(double macs_per_instruction, void (*run)()) {
  const double work = macs_per_instruction * 12 * kLoops;
  return work / median_cycles({{"peak", work, 0.0, run}}, 15).front();
}

}  // namespace

double peak_macs_per_cycle(Isa isa) {
  switch (isa) {
#if defined(__x86_64__)
    case Isa::avx512vnni:
      return rate(64, run_avx512vnni);
    case Isa::avxvnni:
      return rate(32, detect_cpu_features().avxvnni ? run_avxvnni : run_avxvnni_stand_in);
    case Isa::avx2:
      return rate(16, run_avx2);
    case Isa::sse41:
      return rate(8, run_sse41);
#elif defined(__aarch64__)
    case Isa::neondot:
      return rate(16, run_neondot);
#endif
    default:
      return 0.0;
  }
}

double peak_copy_bytes_per_cycle(std::size_t bytes) {
  std::vector<std::uint8_t> from(bytes, 1), to(bytes);
  const auto copy = [&] {
    std::memcpy(to.data(), from.data(), bytes);
    __asm__ volatile("" ::: "memory");
  };
  const auto work = static_cast<double>(bytes);
  return work / median_cycles({{"copy", work, 0.0, copy}}, 15).front();
}

}  // namespace edgeml::bench
