// SPDX-License-Identifier: Apache-2.0
// The requantize definition on values worked out by hand (numerics.md, section 4).
#include "kernels/requantize.h"

#include <doctest/doctest.h>

#include <limits>

#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using kernels::kActOffset;
using kernels::requantize;

std::int32_t canonical(std::int32_t acc, float multiplier, std::int32_t z, std::int32_t lo = -128,
                       std::int32_t hi = 127) {
  return requantize(acc, multiplier, output_range(lo, hi, z)) - kActOffset;
}

TEST_CASE("ties go to even before the zero point is added") {
  CHECK(canonical(1, 0.5F, 0) == 0);
  CHECK(canonical(3, 0.5F, 0) == 2);
  CHECK(canonical(5, 0.5F, 0) == 2);
  CHECK(canonical(-1, 0.5F, 0) == 0);
  CHECK(canonical(-3, 0.5F, 0) == -2);
  // With an odd zero point, rounding after the addition would give 1 + 0.5 -> 2 and 1 + 2.5 -> 4.
  CHECK(canonical(1, 0.5F, 1) == 1);
  CHECK(canonical(5, 0.5F, 1) == 3);
}

TEST_CASE("the range of the activation clamps, and the largest accumulators do not overflow") {
  constexpr auto kMax = std::numeric_limits<std::int32_t>::max();
  constexpr auto kMin = std::numeric_limits<std::int32_t>::min();
  CHECK(canonical(kMax, 0x1.fffffep7F, 0) == 127);
  CHECK(canonical(kMin, 0x1.fffffep7F, 0) == -128);
  CHECK(canonical(kMax, 0x1p-32F, 5) == 5);  // 2^31 * 2^-32 = 0.5, to even
  CHECK(canonical(kMin, 1.0F, -128, -128, 40) == -128);
  CHECK(canonical(kMax, 1.0F, -128, -128, 40) == 40);
  CHECK(canonical(7, 1.0F, 100, 3, 3) == 3);
}

TEST_CASE("the accumulator itself is rounded to f32 first") {
  // (2^24 + 1) * 2.5 * 2^-24 is above the tie 2.5 in exact arithmetic; 2^24 + 1 rounds to 2^24, which is on the tie.
  CHECK(canonical((1 << 24) + 1, 2.5F * 0x1p-24F, 0) == 2);
}

}  // namespace
}  // namespace edgeml::test
