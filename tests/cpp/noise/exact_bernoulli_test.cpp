// SPDX-License-Identifier: Apache-2.0
// Uniform integers and Bernoulli trials against their probabilities.
#include "noise/exact_bernoulli.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdint>
#include <utility>

namespace edgeml {
namespace {

TEST_CASE("Bernoulli(exp(-gamma)) has its probability") {
  SeededByteSource source(3);
  for (const auto& [numerator, denominator] :
       {std::pair<std::uint64_t, std::uint64_t>{0, 5}, {1, 3}, {2, 3}, {1, 1}, {7, 3}}) {
    int hits = 0;
    for (int i = 0; i < 200'000; ++i) hits += bernoulli_exp<std::uint64_t>(numerator, denominator, source) ? 1 : 0;
    const double p = std::exp(-static_cast<double>(numerator) / static_cast<double>(denominator));
    CHECK(std::fabs(hits - 200'000 * p) <= 5 * std::sqrt(200'000 * p * (1 - p)));
  }
}

TEST_CASE("uniform integers are below n and even, in 32 and in 64 bits") {
  SeededByteSource source(4);
  for (const std::uint64_t n :
       {std::uint64_t{1}, std::uint64_t{3}, std::uint64_t{33}, std::uint64_t{5000}, std::uint64_t{1} << 32,
        (std::uint64_t{3} << 38) + 1, std::uint64_t{1} << 63, ~std::uint64_t{0}}) {
    double sum = 0;
    for (int i = 0; i < 100'000; ++i) {
      const std::uint64_t u = uniform_below(n, source);
      REQUIRE(u < n);
      sum += static_cast<double>(u) / static_cast<double>(n);
    }
    const double mean = 0.5 - 0.5 / static_cast<double>(n);
    CHECK(std::fabs(sum / 100'000 - mean) < 5 * std::sqrt(1.0 / 12 / 100'000));
  }
}

TEST_CASE("Bernoulli of a fraction has its probability, in both word sizes") {
  SeededByteSource source(5);
  for (const auto& [numerator, denominator] :
       {std::pair<std::uint64_t, std::uint64_t>{0, 7}, {1, 256}, {3, 7}, {7, 7}, {(1ULL << 40) - 1, 1ULL << 41}}) {
    int narrow = 0;
    int wide = 0;
    for (int i = 0; i < 100'000; ++i) {
      narrow += bernoulli<std::uint64_t>(numerator, denominator, source) ? 1 : 0;
      wide += bernoulli<Uint128>(Uint128{numerator} << 40, Uint128{denominator} << 40, source) ? 1 : 0;
    }
    const double p = static_cast<double>(numerator) / static_cast<double>(denominator);
    CHECK(std::fabs(narrow - 100'000 * p) <= 5 * std::sqrt(100'000 * p * (1 - p)));
    CHECK(std::fabs(wide - 100'000 * p) <= 5 * std::sqrt(100'000 * p * (1 - p)));
  }
}

}  // namespace
}  // namespace edgeml
