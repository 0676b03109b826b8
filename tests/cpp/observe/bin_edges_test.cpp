// SPDX-License-Identifier: Apache-2.0
// Every slot of a feature, at, beside and far from its edges.
#include "observe/bin_edges.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>
#include <random>
#include <vector>

namespace edgeml {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kDenormal = std::numeric_limits<float>::denorm_min();
constexpr float kMax = std::numeric_limits<float>::max();

// Section 1 of wire.md, word by word.
int slot_by_definition(const std::vector<float>& edges, float v) {
  const int k = static_cast<int>(edges.size()) - 1;
  if (std::isnan(v)) return 0;
  if (v < edges.front()) return 1;
  if (v > edges.back()) return k + 2;
  for (int i = 0; i < k; ++i) {
    if (v < edges[static_cast<std::size_t>(i) + 1]) return 2 + i;
  }
  return k + 1;
}

std::vector<float> probes_of(const std::vector<float>& edges) {
  std::vector<float> probes = {0.0F,
                               -0.0F,
                               kDenormal,
                               -kDenormal,
                               kMax,
                               -kMax,
                               kInfinity,
                               -kInfinity,
                               std::numeric_limits<float>::quiet_NaN(),
                               -std::numeric_limits<float>::quiet_NaN(),
                               std::numeric_limits<float>::signaling_NaN(),
                               1.0F,
                               -1.0F};
  for (const float e : edges) {
    probes.insert(probes.end(), {e, std::nextafter(e, kInfinity), std::nextafter(e, -kInfinity)});
  }
  return probes;
}

void check(const std::vector<float>& edges) {
  const BinEdges bins(edges);
  CHECK(bins.slot_count() == static_cast<int>(edges.size()) + 2);
  const std::vector<float> probes = probes_of(edges);
  for (const float v : probes) {
    CAPTURE(v);
    CHECK(bins.slot(v) == slot_by_definition(edges, v));
  }
  // The same values as one array, more than a block of them, also with others between.
  std::vector<float> many;
  while (many.size() < 600) many.insert(many.end(), probes.begin(), probes.end());
  for (const std::size_t stride : {1, 3}) {
    std::vector<std::int64_t> counted(edges.size() + 2);
    std::vector<std::int64_t> expected(counted.size());
    const std::size_t count = many.size() / stride;
    bins.count(many.data(), static_cast<std::int64_t>(count), static_cast<std::int64_t>(stride), counted.data());
    for (std::size_t n = 0; n < count; ++n) {
      ++expected[static_cast<std::size_t>(slot_by_definition(edges, many[n * stride]))];
    }
    CHECK(counted == expected);
  }
}

TEST_CASE("slots equal the definition at and beside the edges") {
  check({0.0F, 1.0F});
  check({-0.0F, 1.0F});
  check({-1.0F, -0.0F});
  check({-1.0F, 0.0F, 1.0F});
  check({-kDenormal, 0.0F, kDenormal});
  check({0.0F, kDenormal, 2 * kDenormal});
  check({-kMax, kMax});
  check({-kMax, -1.0F, 0.0F, 1.0F, kMax});
  check({1e-38F, 1e-30F, 1.0F, 1e30F});
}

TEST_CASE("slots equal the definition for every number of edges that a schema may have") {
  std::mt19937 random(7);
  for (std::size_t count = 2; count <= 1001; count += count < 70 ? 1 : 133) {
    std::vector<float> edges(count);
    float edge = -3.0F;
    for (float& e : edges) {
      e = edge;
      edge = std::nextafter(edge + std::generate_canonical<float, 24>(random) * 0.1F, kInfinity);
    }
    check(edges);
  }
}

}  // namespace
}  // namespace edgeml
