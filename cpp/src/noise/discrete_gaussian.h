// SPDX-License-Identifier: Apache-2.0
// Exact discrete Gaussian noise: Pr[z] proportional to exp(-z^2 / (2 sigma^2)), sigma^2 = numerator / denominator.
//
// Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (2020), Algorithm 3: a discrete Laplace
// draw, kept with the ratio of the two distributions. Proof: python/edgeml/privacy/discrete_gaussian.md.
#pragma once

#include <cstdint>
#include <optional>

#include "base/counts.h"
#include "noise/byte_source.h"

namespace edgeml {

inline constexpr std::uint64_t kGaussianVarianceMax = std::uint64_t{1} << 32;  // of sigma^2 itself
inline constexpr std::uint64_t kGaussianDenominatorMax = std::uint64_t{1} << 16;

// 1 <= denominator <= kGaussianDenominatorMax, 1 <= numerator, numerator / denominator <= kGaussianVarianceMax.
bool is_allowed(NoiseVariance variance) noexcept;

// One draw. Nothing if the source has failed, or if the magnitude of the Laplace draw reaches 2^31, which has a
// probability below exp(-2^14). `variance` is_allowed().
std::optional<std::int64_t> discrete_gaussian(NoiseVariance variance, ByteSource& source) noexcept;

}  // namespace edgeml
