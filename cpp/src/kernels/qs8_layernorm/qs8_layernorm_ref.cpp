// SPDX-License-Identifier: Apache-2.0
// qs8_layernorm_ref: the specification of qs8_layernorm.h.
#include "kernels/qs8_layernorm/qs8_layernorm.h"

namespace edgeml::kernels {

void qs8_layernorm_ref(const QS8LayernormArgs& args) noexcept {
  const auto byte_of = [&args](std::int32_t c, std::int64_t p) { return c / 4 * args.plane_step + p * 4 + c % 4; };
  const std::int64_t n = args.channels;
  for (std::int64_t p = 0; p < args.pixels; ++p) {
    std::int64_t sum = 0;
    std::int64_t squares = 0;
    for (std::int32_t c = 0; c < args.channels; ++c) {
      const std::int64_t q = args.in[byte_of(c, p)] - args.zero_point;
      sum += q;
      squares += q * q;
    }
    const auto mean = static_cast<float>(static_cast<double>(sum) / static_cast<double>(n));
    const double variance = static_cast<double>(n * squares - sum * sum) / static_cast<double>(n * n);
    const auto r = static_cast<float>(1.0 / __builtin_sqrt(variance + args.epsilon));
    for (std::int32_t c = 0; c < args.channels; ++c) {
      const float centred = static_cast<float>(args.in[byte_of(c, p)] - args.zero_point) - mean;
      const float scaled = centred * r * args.gain[c];
      args.out[byte_of(c, p)] = requantize_f32(scaled + args.shift[c], args.range);
    }
  }
}

}  // namespace edgeml::kernels
