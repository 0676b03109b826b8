// SPDX-License-Identifier: Apache-2.0
// Numbers of [0, 1) as multiples of 2^-128, and exp(-x) in them, with error bounds: integers only.
#pragma once

#include <cstdint>

#include "noise/exact_bernoulli.h"

namespace edgeml {

using UnitFraction = Uint128;  // value * 2^-128

// Floor of a * b: at most 2^-128 too small.
UnitFraction multiply(UnitFraction a, UnitFraction b) noexcept;

// Floor of a / b, a < b: at most 2^-128 too small. The scale of a and b cancels.
UnitFraction quotient(Uint128 a, Uint128 b) noexcept;

// A rational number numerator / denominator >= 0: denominator >= 1 and below 2^64.
struct Ratio {
  Uint128 numerator;
  std::uint64_t denominator;
};

// 1 - exp(-x), within 2^-121. Relative to itself within 2^-80 where x >= 2^-40.
UnitFraction one_minus_exp(Ratio x) noexcept;

// exp(-x) less at most 2^-121 (1 becomes 1 - 2^-128).
inline UnitFraction exp_minus(Ratio x) noexcept { return ~one_minus_exp(x); }

}  // namespace edgeml
