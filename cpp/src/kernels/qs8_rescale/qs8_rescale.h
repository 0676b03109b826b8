// SPDX-License-Identifier: Apache-2.0
// qs8_rescale: out[i] = requantize(in[i] - Z, multiplier). out may be in.
#pragma once

#include <cstdint>

#include "kernels/requantize.h"

namespace edgeml::kernels {

struct QS8RescaleArgs {
  const act_t* in;
  act_t* out;
  std::int64_t n;
  std::int32_t zero_point;  // memory domain
  float multiplier;
  OutputRange range;
};

using QS8RescaleFn = void (*)(const QS8RescaleArgs&) noexcept;

}  // namespace edgeml::kernels
