// SPDX-License-Identifier: Apache-2.0
// qs8_softmax_ref: the specification of qs8_softmax.h. Integers throughout; the f32 form divides once in f64.
#include "kernels/qs8_softmax/qs8_softmax.h"

namespace edgeml::kernels {

void qs8_softmax_ref(const QS8SoftmaxArgs& args) noexcept {
  act_t max = args.in[0];
  for (std::int32_t i = 1; i < args.n; ++i) max = args.in[i] > max ? args.in[i] : max;
  std::uint64_t sum = 0;
  for (std::int32_t i = 0; i < args.n; ++i) sum += args.table[max - args.in[i]];
  for (std::int32_t i = 0; i < args.n; ++i) {
    const std::uint64_t e = args.table[max - args.in[i]];
    if (args.out_s8 != nullptr) {
      const std::uint64_t share = (256 * e + sum / 2) / sum;
      args.out_s8[i] = static_cast<act_t>(static_cast<std::int32_t>(share < 255 ? share : 255) - 128 + kActOffset);
    }
    if (args.out_f32 != nullptr) {
      args.out_f32[i] = static_cast<float>(static_cast<double>(e) / static_cast<double>(sum));
    }
  }
}

}  // namespace edgeml::kernels
