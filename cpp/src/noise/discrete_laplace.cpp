// SPDX-License-Identifier: Apache-2.0
#include "noise/discrete_laplace.h"

#include "noise/exact_bernoulli.h"

namespace edgeml {
namespace {

constexpr std::uint64_t kStepsMax = std::uint64_t{1} << 22;  // steps * numerator <= 2^62

}  // namespace

std::optional<std::int64_t> discrete_laplace(NoiseScale scale, ByteSource& source) noexcept {
  const std::uint64_t t = scale.numerator;
  while (source.ok()) {
    const std::uint64_t u = uniform_below(t, source);
    if (!bernoulli_exp_below_one(u, t, source)) continue;
    std::uint64_t steps = 0;
    while (bernoulli_exp_below_one<std::uint64_t>(1, 1, source)) {
      if (++steps == kStepsMax || !source.ok()) return std::nullopt;
    }
    const auto magnitude = static_cast<std::int64_t>((u + t * steps) / scale.denominator);
    const bool negative = source.next_bit();
    if (negative && magnitude == 0) continue;  // zero would count twice
    if (source.ok()) return negative ? -magnitude : magnitude;
  }
  return std::nullopt;
}

}  // namespace edgeml
