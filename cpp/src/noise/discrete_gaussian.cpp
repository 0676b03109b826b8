// SPDX-License-Identifier: Apache-2.0
#include "noise/discrete_gaussian.h"

#include <cmath>

#include "noise/discrete_laplace.h"
#include "noise/exact_bernoulli.h"

namespace edgeml {
namespace {

constexpr std::int64_t kMagnitudeMax = std::int64_t{1} << 31;

// The largest integer whose square is at most n.
std::uint64_t floor_sqrt(std::uint64_t n) noexcept {
  auto root = static_cast<std::uint64_t>(std::sqrt(static_cast<double>(n)));  // at most one off, below 2^32
  while (root * root > n) --root;
  while ((root + 1) * (root + 1) <= n) ++root;
  return root;
}

}  // namespace

bool is_allowed(NoiseVariance variance) noexcept {
  return variance.denominator >= 1 && variance.denominator <= kGaussianDenominatorMax && variance.numerator >= 1 &&
         variance.numerator <= kGaussianVarianceMax * variance.denominator;
}

std::optional<std::int64_t> discrete_gaussian(NoiseVariance variance, ByteSource& source) noexcept {
  const std::uint64_t n = variance.numerator;
  const std::uint64_t d = variance.denominator;
  const std::uint64_t t = floor_sqrt(n / d) + 1;  // floor(sigma) + 1 <= 2^16 + 1
  // Kept with probability exp(-(|y| - sigma^2 / t)^2 / (2 sigma^2)) = exp(-(|y| d t - n)^2 / (2 n d t^2)), where
  // |y| < 2^31, d <= 2^16 and t <= 2^16 + 1 keep the square below 2^127.
  const Uint128 denominator = Uint128{2} * n * d * t * t;  // <= 2^98
  while (const std::optional<std::int64_t> y = discrete_laplace({t, 1}, source)) {
    const std::int64_t magnitude = *y < 0 ? -*y : *y;
    if (magnitude >= kMagnitudeMax) return std::nullopt;
    const Uint128 scaled = Uint128{static_cast<std::uint64_t>(magnitude)} * (d * t);
    const Uint128 difference = scaled > n ? scaled - n : n - scaled;
    const Uint128 numerator = difference * difference;
    const bool is_narrow = denominator >> 40 == 0 && numerator >> 56 == 0;
    const bool is_kept = is_narrow ? bernoulli_exp<std::uint64_t>(static_cast<std::uint64_t>(numerator),
                                                                  static_cast<std::uint64_t>(denominator), source)
                                   : bernoulli_exp<Uint128>(numerator, denominator, source);
    if (is_kept && source.ok()) return y;
  }
  return std::nullopt;
}

}  // namespace edgeml
