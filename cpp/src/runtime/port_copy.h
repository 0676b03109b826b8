// SPDX-License-Identifier: Apache-2.0
// Quantized graph inputs and outputs: the caller's dense int8 arrays <-> C4P in the arena.
#pragma once

#include <cstdint>

#include "kernels/activation.h"
#include "ops/layout.h"

namespace edgeml {

inline void import_s8(const std::int8_t* dense, const Layout& layout, std::int64_t batch, kernels::act_t* c4p) {
  for (std::int64_t n = 0; n < batch; ++n, c4p += layout.sample_step) {
    for (std::int64_t c = 0; c < layout.channels; ++c) {
      for (std::int64_t p = 0; p < layout.pixels; ++p) {
        c4p[layout.byte_of(c, p)] = static_cast<kernels::act_t>(*dense++ + kernels::kActOffset);
      }
    }
  }
}

inline void export_s8(const kernels::act_t* c4p, const Layout& layout, std::int64_t batch, std::int8_t* dense) {
  for (std::int64_t n = 0; n < batch; ++n, c4p += layout.sample_step) {
    for (std::int64_t c = 0; c < layout.channels; ++c) {
      for (std::int64_t p = 0; p < layout.pixels; ++p) {
        *dense++ = static_cast<std::int8_t>(c4p[layout.byte_of(c, p)] - kernels::kActOffset);
      }
    }
  }
}

}  // namespace edgeml
