// SPDX-License-Identifier: Apache-2.0
// Exact discrete Laplace noise: Pr[z] = (1 - a) / (1 + a) * a^|z| with a = exp(-1 / t), t = numerator / denominator.
//
// Canonne, Kamath, Steinke, "The Discrete Gaussian for Differential Privacy" (2020), Algorithms 1 and 2. Proof:
// python/edgeml/privacy/mechanisms.md.
#pragma once

#include <cstdint>
#include <optional>

#include "base/counts.h"
#include "noise/byte_source.h"

namespace edgeml {

// Largest numerator and denominator: products with the number of steps below stay inside 63 bits.
inline constexpr std::uint64_t kNoiseScaleMax = std::uint64_t{1} << 40;

// One draw (Algorithm 2). Nothing if the source has failed, or if the magnitude passes 2^62, which has a probability
// below exp(-2^22) at every allowed scale. 1 <= numerator, denominator <= kNoiseScaleMax.
std::optional<std::int64_t> discrete_laplace(NoiseScale scale, ByteSource& source) noexcept;

}  // namespace edgeml
