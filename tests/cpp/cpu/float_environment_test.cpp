// SPDX-License-Identifier: Apache-2.0
// The guard forces nearest-even while it lives and restores what the process had set.
#include "cpu/float_environment.h"

#include <doctest/doctest.h>

#include <cfenv>
#include <cmath>

namespace edgeml {
namespace {

float round_now(float value) {
  volatile float x = value;  // keeps the compiler from rounding at compile time
  return std::nearbyintf(x);
}

TEST_CASE("rounding is nearest even inside and as before outside") {
  std::fesetround(FE_UPWARD);
  CHECK(round_now(0.5F) == 1.0F);
  {
    const FloatEnvironment environment;
    CHECK(round_now(0.5F) == 0.0F);
    CHECK(round_now(1.5F) == 2.0F);
  }
  CHECK(round_now(0.5F) == 1.0F);
  std::fesetround(FE_TONEAREST);
}

}  // namespace
}  // namespace edgeml
