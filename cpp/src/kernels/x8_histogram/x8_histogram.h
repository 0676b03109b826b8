// SPDX-License-Identifier: Apache-2.0
// x8_histogram: counts[b] += how many of the bytes are b.
#pragma once

#include <cstdint>

namespace edgeml::kernels {

struct X8HistogramArgs {
  const std::uint8_t* in;
  std::int64_t n;
  std::int64_t* counts;  // [256]
};

using X8HistogramFn = void (*)(const X8HistogramArgs&) noexcept;

}  // namespace edgeml::kernels
