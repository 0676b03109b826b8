// SPDX-License-Identifier: Apache-2.0
// qs8_vadd_ref: the specification of qs8_vadd.h.
#include "kernels/qs8_vadd/qs8_vadd.h"

namespace edgeml::kernels {

void qs8_vadd_ref(const QS8VaddArgs& args) noexcept {
  for (std::int64_t i = 0; i < args.n; ++i) {
    const float a = static_cast<float>(args.a[i] - args.zero_point_a) * args.multiplier_a;
    const float b = static_cast<float>(args.b[i] - args.zero_point_b) * args.multiplier_b;
    args.out[i] = requantize_f32(a + b, args.range);
  }
}

}  // namespace edgeml::kernels
