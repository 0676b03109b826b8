// SPDX-License-Identifier: Apache-2.0
// One pixel of qs8_softmax.h as plain integers: the definition, and what vector kernels fall back to.
#pragma once

#include "kernels/qs8_softmax/qs8_softmax.h"

namespace edgeml::kernels {

static inline void qs8_softmax_row(const QS8SoftmaxArgs& args, std::int64_t p) {
  const auto byte_of = [&args, p](std::int32_t c) { return c / 4 * args.plane_step + p * 4 + c % 4; };
  act_t max = args.in[byte_of(0)];
  for (std::int32_t c = 1; c < args.n; ++c) max = args.in[byte_of(c)] > max ? args.in[byte_of(c)] : max;
  std::uint64_t sum = 0;
  for (std::int32_t c = 0; c < args.n; ++c) sum += args.table[max - args.in[byte_of(c)]];
  for (std::int32_t c = 0; c < args.n; ++c) {
    const std::uint64_t e = args.table[max - args.in[byte_of(c)]];
    if (args.out_s8 != nullptr) {
      const std::uint64_t share = (256 * e + sum / 2) / sum;
      const auto q = static_cast<std::int32_t>(share < 255 ? share : 255) - 128;
      args.out_s8[byte_of(c)] = static_cast<act_t>(q + kActOffset);
    }
    if (args.out_f32 != nullptr) {
      args.out_f32[c * args.pixels + p] = static_cast<float>(static_cast<double>(e) / static_cast<double>(sum));
    }
  }
}

}  // namespace edgeml::kernels
