// SPDX-License-Identifier: Apache-2.0
// The discrete Laplace sampler against its exact probabilities, with a test that is shown to catch half the noise.
#include "noise/discrete_laplace.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <vector>

namespace edgeml {
namespace {

constexpr std::int64_t kDraws = 1'000'000;

std::vector<std::int64_t> draw(NoiseScale scale, std::uint64_t seed, std::int64_t count = kDraws) {
  SeededByteSource source(seed);
  std::vector<std::int64_t> draws(static_cast<std::size_t>(count));
  for (std::int64_t& z : draws) z = discrete_laplace(scale, source).value();
  return draws;
}

double probability(double t, std::int64_t z) {
  const double a = std::exp(-1 / t);
  return (1 - a) / (1 + a) * std::pow(a, std::fabs(static_cast<double>(z)));
}

// Chi-square over the cells -cells..cells and the two tails, as standard deviations from its mean (Wilson, Hilferty).
double chi_square_deviations(const std::vector<std::int64_t>& draws, NoiseScale scale) {
  const double t = static_cast<double>(scale.numerator) / static_cast<double>(scale.denominator);
  const auto n = static_cast<double>(draws.size());
  std::int64_t cells = 1;
  while (cells < 100 && probability(t, cells + 1) * n > 50) ++cells;
  std::vector<double> observed(static_cast<std::size_t>(2 * cells + 3));
  for (const std::int64_t z : draws) {
    observed[static_cast<std::size_t>(std::min(std::max(z, -cells - 1), cells + 1) + cells + 1)] += 1;
  }
  const double a = std::exp(-1 / t);
  double chi_square = 0;
  for (std::int64_t z = -cells - 1; z <= cells + 1; ++z) {
    const bool is_tail = z < -cells || z > cells;
    const double expected = n * (is_tail ? std::pow(a, static_cast<double>(cells + 1)) / (1 + a) : probability(t, z));
    const double difference = observed[static_cast<std::size_t>(z + cells + 1)] - expected;
    chi_square += difference * difference / expected;
  }
  const auto freedom = static_cast<double>(2 * cells + 2);
  const double spread = 2 / (9 * freedom);
  return (std::cbrt(chi_square / freedom) - (1 - spread)) / std::sqrt(spread);
}

double variance(const std::vector<std::int64_t>& draws) {
  double sum = 0;
  double squares = 0;
  for (const std::int64_t z : draws) {
    sum += static_cast<double>(z);
    squares += static_cast<double>(z) * static_cast<double>(z);
  }
  const auto n = static_cast<double>(draws.size());
  return squares / n - sum / n * (sum / n);
}

TEST_CASE("a million draws follow the exact probabilities") {
  for (const NoiseScale scale : {NoiseScale{1, 1}, NoiseScale{1, 3}, NoiseScale{7, 2}, NoiseScale{40, 1}}) {
    CAPTURE(scale.numerator);
    const std::vector<std::int64_t> draws = draw(scale, 20 + scale.numerator);
    CHECK(std::fabs(chi_square_deviations(draws, scale)) < 4);
    const double t = static_cast<double>(scale.numerator) / static_cast<double>(scale.denominator);
    const double a = std::exp(-1 / t);
    const double expected = 2 * a / ((1 - a) * (1 - a));
    CHECK(variance(draws) == doctest::Approx(expected).epsilon(0.02));
  }
}

TEST_CASE("the test above catches half the noise, and a tenth less") {
  CHECK(chi_square_deviations(draw({7, 4}, 1), {7, 2}) > 50);
  CHECK(chi_square_deviations(draw({9, 1}, 1), {10, 1}) > 50);
}

TEST_CASE("a fraction that is not in lowest terms is the same distribution") {
  CHECK(std::fabs(chi_square_deviations(draw({14, 4}, 5), {7, 2})) < 4);
}

TEST_CASE("the largest and the smallest scale stay inside 64 bits") {
  for (const std::int64_t z : draw({kNoiseScaleMax, 1}, 6, 10'000)) REQUIRE(std::abs(z) < std::int64_t{1} << 62);
  for (const std::int64_t z : draw({1, kNoiseScaleMax}, 6, 10'000)) REQUIRE(z == 0);
}

TEST_CASE("a seed gives the same draws on every machine") {
  CHECK(draw({7, 2}, 42, 12) == std::vector<std::int64_t>{0, 3, 0, 4, -3, -5, 4, 5, 6, 5, 0, 6});
}

}  // namespace
}  // namespace edgeml
