// SPDX-License-Identifier: Apache-2.0
// The discrete Gaussian sampler: the same draws for a seed on every machine, and its variance in both word sizes. Its
// chi-square test stands in tests/python/test_noise_samplers.py.
#include "noise/discrete_gaussian.h"

#include <doctest/doctest.h>

#include <cstdint>
#include <vector>

namespace edgeml {
namespace {

std::vector<std::int64_t> draw(NoiseVariance variance, std::uint64_t seed, std::size_t count) {
  SeededByteSource source(seed);
  std::vector<std::int64_t> draws(count);
  for (std::int64_t& z : draws) z = discrete_gaussian(variance, source).value();
  return draws;
}

TEST_CASE("the variance is sigma^2 where that is not small") {
  for (const NoiseVariance variance :
       {NoiseVariance{16, 1}, NoiseVariance{1000003, 1000}, NoiseVariance{1U << 30, 1}}) {
    double squares = 0;
    for (const std::int64_t z : draw(variance, 8, 50'000)) squares += static_cast<double>(z) * static_cast<double>(z);
    const double expected = static_cast<double>(variance.numerator) / static_cast<double>(variance.denominator);
    CHECK(squares / 50'000 == doctest::Approx(expected).epsilon(0.03));
  }
}

TEST_CASE("parameters outside their range are told apart") {
  CHECK(is_allowed({1, kGaussianDenominatorMax}));
  CHECK(is_allowed({kGaussianVarianceMax, 1}));
  CHECK_FALSE(is_allowed({0, 1}));
  CHECK_FALSE(is_allowed({1, 0}));
  CHECK_FALSE(is_allowed({1, kGaussianDenominatorMax + 1}));
  CHECK_FALSE(is_allowed({kGaussianVarianceMax + 1, 1}));
}

TEST_CASE("a seed gives the same draws on every machine") {
  CHECK(draw({50, 4}, 42, 12) == std::vector<std::int64_t>{4, 0, 0, -2, 4, 0, 0, 3, 2, -1, 0, 0});
}

}  // namespace
}  // namespace edgeml
