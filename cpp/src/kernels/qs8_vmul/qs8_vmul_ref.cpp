// SPDX-License-Identifier: Apache-2.0
// qs8_vmul_ref: the specification of qs8_vmul.h.
#include "kernels/qs8_vmul/qs8_vmul.h"

namespace edgeml::kernels {

void qs8_vmul_ref(const QS8VmulArgs& args) noexcept {
  for (std::int64_t i = 0; i < args.n; ++i) {
    const std::int32_t b = args.b[args.b_is_word ? i % 4 : i] - args.zero_point_b;
    args.out[i] = requantize((args.a[i] - args.zero_point_a) * b, args.multiplier, args.range);
  }
}

}  // namespace edgeml::kernels
