// SPDX-License-Identifier: Apache-2.0
// x8_lut_ref: the specification of x8_lut.h.
#include "kernels/x8_lut/x8_lut.h"

namespace edgeml::kernels {

void x8_lut_ref(const X8LutArgs& args) noexcept {
  for (std::int64_t i = 0; i < args.n; ++i) args.out[i] = args.table[args.in[i]];
}

}  // namespace edgeml::kernels
