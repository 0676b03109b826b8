// SPDX-License-Identifier: Apache-2.0
// qs8_softmax_ref: the specification of qs8_softmax.h. Integers throughout; the f32 form divides once in f64.
#include "kernels/qs8_softmax/qs8_softmax.h"
#include "kernels/qs8_softmax/qs8_softmax_row.h"

namespace edgeml::kernels {

void qs8_softmax_ref(const QS8SoftmaxArgs& args) noexcept {
  for (std::int64_t p = 0; p < args.pixels; ++p) qs8_softmax_row(args, p);
}

}  // namespace edgeml::kernels
