// SPDX-License-Identifier: Apache-2.0
// x8_histogram_ref: the specification of x8_histogram.h, and the only row: no vector instruction adds to scattered
// counters faster. Eight histograms, so that equal bytes in a row do not wait for each other's store.
#include <cstring>

#include "kernels/x8_histogram/x8_histogram.h"

namespace edgeml::kernels {
namespace {

constexpr std::int64_t kHistograms = 8;
constexpr std::int64_t kFew = 1024;                     // bytes: clearing and adding up eight histograms costs more
constexpr std::int64_t kBlock = std::int64_t{1} << 30;  // bytes: no 32-bit counter overflows

}  // namespace

void x8_histogram_ref(const X8HistogramArgs& args) noexcept {
  const std::uint8_t* in = args.in;
  std::int64_t left = args.n;
  while (left >= kFew) {
    std::uint32_t histograms[kHistograms][256] = {};
    const std::int64_t block = (left < kBlock ? left : kBlock) / kHistograms * kHistograms;
    for (std::int64_t i = 0; i < block; i += kHistograms) {
      std::uint64_t word;
      std::memcpy(&word, in + i, sizeof word);
      ++histograms[0][word & 0xff];
      ++histograms[1][word >> 8 & 0xff];
      ++histograms[2][word >> 16 & 0xff];
      ++histograms[3][word >> 24 & 0xff];
      ++histograms[4][word >> 32 & 0xff];
      ++histograms[5][word >> 40 & 0xff];
      ++histograms[6][word >> 48 & 0xff];
      ++histograms[7][word >> 56];
    }
    for (std::int64_t b = 0; b < 256; ++b) {
      for (const auto& histogram : histograms) args.counts[b] += histogram[b];
    }
    in += block;
    left -= block;
  }
  for (std::int64_t i = 0; i < left; ++i) ++args.counts[in[i]];
}

}  // namespace edgeml::kernels
