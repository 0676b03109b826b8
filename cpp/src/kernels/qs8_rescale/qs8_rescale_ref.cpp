// SPDX-License-Identifier: Apache-2.0
// qs8_rescale_ref: the specification of qs8_rescale.h.
#include "kernels/qs8_rescale/qs8_rescale.h"

namespace edgeml::kernels {

void qs8_rescale_ref(const QS8RescaleArgs& args) noexcept {
  for (std::int64_t i = 0; i < args.n; ++i) {
    args.out[i] = requantize(args.in[i] - args.zero_point, args.multiplier, args.range);
  }
}

}  // namespace edgeml::kernels
