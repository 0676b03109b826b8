// SPDX-License-Identifier: Apache-2.0
#include "noise/unit_fraction.h"

namespace edgeml {
namespace {

constexpr UnitFraction kHalf = UnitFraction{1} << 127;
constexpr Uint128 kWholesMax = 90;  // exp(-90) < 2^-128

// 1 - exp(-x) = x - x^2/2! + x^3/3! - ... for x < 1. Each of the 35 terms is at most k * 2^-128 off, the rest is below
// 1/36! < 2^-138: together within 2^-121.
UnitFraction one_minus_exp_below_one(UnitFraction x) noexcept {
  UnitFraction term = x;
  UnitFraction sum = 0;
  for (unsigned k = 1; term != 0; ++k) {
    sum = k % 2 == 1 ? sum + term : sum - term;
    term = multiply(term, x) / (k + 1);
  }
  return sum;
}

}  // namespace

UnitFraction multiply(UnitFraction a, UnitFraction b) noexcept {
  const auto low = [](Uint128 x) { return static_cast<std::uint64_t>(x); };
  const auto high = [](Uint128 x) { return static_cast<std::uint64_t>(x >> 64); };
  const Uint128 low_low = Uint128{low(a)} * low(b);
  const Uint128 low_high = Uint128{low(a)} * high(b);
  const Uint128 high_low = Uint128{high(a)} * low(b);
  const Uint128 middle = Uint128{low(low_high)} + low(high_low) + high(low_low);
  return Uint128{high(a)} * high(b) + high(low_high) + high(high_low) + high(middle);
}

UnitFraction quotient(Uint128 a, Uint128 b) noexcept {
  UnitFraction result = 0;
  for (int bit = 0; bit < 128; ++bit) {
    const bool carry = a >> 127 != 0;
    a <<= 1;
    const bool is_one = carry || a >= b;
    if (is_one) a -= b;
    result = result << 1 | static_cast<unsigned>(is_one);
  }
  return result;
}

UnitFraction one_minus_exp(Ratio x) noexcept {
  const Uint128 wholes = x.numerator / x.denominator;
  if (wholes > kWholesMax) return ~UnitFraction{0};
  const UnitFraction fraction = quotient(x.numerator % x.denominator, x.denominator);
  const UnitFraction below_one = one_minus_exp_below_one(fraction);
  if (wholes == 0) return below_one;
  const UnitFraction exp_minus_half = ~one_minus_exp_below_one(kHalf);
  const UnitFraction exp_minus_one = multiply(exp_minus_half, exp_minus_half);
  UnitFraction result = ~below_one;
  for (Uint128 i = 0; i < wholes; ++i) result = multiply(result, exp_minus_one);
  return ~result;
}

}  // namespace edgeml
