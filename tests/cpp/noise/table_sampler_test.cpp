// SPDX-License-Identifier: Apache-2.0
// The constant-time sampler: tables that cover every scale, and the same draws for a seed on every machine. Its tables
// are compared with exact arithmetic, and its draws with the exact probabilities, in
// tests/python/test_noise_samplers.py.
#include "noise/table_sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "noise/discrete_laplace.h"

namespace edgeml {
namespace {

std::vector<std::int64_t> draw(const TableSampler& sampler, std::uint64_t seed, std::size_t count) {
  SeededByteSource source(seed);
  std::vector<std::int64_t> draws(count);
  sampler.draw(draws, source);
  return draws;
}

TEST_CASE("every scale has short ascending tables") {
  for (const NoiseScale scale : {NoiseScale{1, kNoiseScaleMax}, NoiseScale{1, 1}, NoiseScale{33, 1},
                                 NoiseScale{1024, 1}, NoiseScale{1'000'003, 7}, NoiseScale{kNoiseScaleMax, 1}}) {
    const TableSampler sampler = TableSampler::discrete_laplace(scale);
    CHECK(sampler.tables().size() <= 10);
    CHECK(sampler.variation_bound() < 512);
    for (const TableSampler::Table& table : sampler.tables()) {
      CHECK(table.outcomes <= 128);
      CHECK(std::ranges::is_sorted(table.last));
    }
  }
  CHECK(TableSampler::discrete_gaussian({400 * 400, 1}).has_value());
  CHECK_FALSE(TableSampler::discrete_gaussian({1U << 30, 1}).has_value());
}

TEST_CASE("a seed gives the same draws on every machine") {
  CHECK(draw(TableSampler::discrete_laplace({7, 2}), 42, 12) ==
        std::vector<std::int64_t>{2, -4, -1, 10, 5, -4, 0, 0, 0, -4, 4, 3});
  CHECK(draw(TableSampler::discrete_laplace({1'000'003, 7}), 42, 4) ==
        std::vector<std::int64_t>{51606, -114233, -279755, 334832});
  CHECK(draw(TableSampler::discrete_gaussian({50, 4}).value(), 42, 12) ==
        std::vector<std::int64_t>{2, 5, 3, -1, 2, 5, 0, 0, 0, -6, -2, -2});
}

}  // namespace
}  // namespace edgeml
