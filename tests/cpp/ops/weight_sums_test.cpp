// SPDX-License-Identifier: Apache-2.0
// Sums by vectors equal sums one by one, for every length, start and step, with -128 anywhere.
#include "ops/weight_sums.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <random>
#include <vector>

namespace edgeml {
namespace {

void check(const std::int8_t* weights, std::int64_t count, std::int64_t step) {
  WeightSums expected;
  for (std::int64_t i = 0; i < count; ++i) {
    const int w = weights[i * step];
    expected.sum += w;
    expected.magnitude += std::abs(w);
    expected.has_minus_128 |= w == -128;
  }
  const WeightSums sums = weight_sums(weights, count, step);
  CHECK(sums.sum == expected.sum);
  CHECK(sums.magnitude == expected.magnitude);
  CHECK(sums.has_minus_128 == expected.has_minus_128);
}

TEST_CASE("random weights") {
  std::mt19937 random(5);
  std::uniform_int_distribution<int> any(-128, 127);
  std::vector<std::int8_t> weights(400);
  for (std::int64_t count = 0; count <= 100; ++count) {
    for (auto& w : weights)
      w = static_cast<std::int8_t>(any(random) / (count % 2 == 0 ? 1 : 2));  // every other: no -128
    for (const std::int64_t step : {1, 2, 3}) check(weights.data() + count % 7, count, step);
  }
}

TEST_CASE("one -128 in any place is found") {
  for (std::size_t size = 1; size <= 50; ++size) {
    for (std::size_t at = 0; at < size; ++at) {
      std::vector<std::int8_t> weights(size, std::int8_t{-127});
      CHECK_FALSE(weight_sums(weights).has_minus_128);
      weights[at] = -128;
      CHECK(weight_sums(weights).has_minus_128);
    }
  }
}

TEST_CASE("extremes over many weights") {
  for (const int w : {-128, -127, 127}) {
    const std::vector<std::int8_t> weights(1'000'003, static_cast<std::int8_t>(w));
    check(weights.data(), 1'000'003, 1);
  }
}

}  // namespace
}  // namespace edgeml
