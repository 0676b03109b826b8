// SPDX-License-Identifier: Apache-2.0
// Every f32_edge_counts row that this machine runs equals ref: every length of a tail, NaN, infinities, denormals, -0.
#include "kernels/f32_edge_counts/f32_edge_counts.h"

#include <doctest/doctest.h>

#include <bit>
#include <limits>
#include <string>
#include <vector>

#include "support/guarded_buffer.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

TEST_CASE("f32_edge_counts equals ref") {
  Rng rng(3);
  for (const auto& row : runnable_rows<F32EdgeCountsFn>()) {
    for (std::size_t n = 0; n <= 4200; n += n < 40 ? 1 : 517) {
      for (const std::int64_t edge_count : {4, 20, 64}) {
        GuardedBuffer<float> values(n, Edge::end);
        for (float& value : values.span()) {
          value = rng() % 4 == 0 ? std::bit_cast<float>(static_cast<std::uint32_t>(rng()))  // any bits
                                 : static_cast<float>(static_cast<std::int32_t>(rng() % 9) - 4);
          if (rng() % 16 == 0) value = -0.0F;
          if (rng() % 16 == 0) value = -std::numeric_limits<float>::quiet_NaN();
        }
        std::vector<std::int32_t> edges(static_cast<std::size_t>(edge_count));
        for (std::int32_t& edge : edges) edge = rng() % 2 == 0 ? static_cast<std::int32_t>(rng() | 1U) : 0;
        edges.back() = std::numeric_limits<std::int32_t>::max();
        std::vector<std::int64_t> expected(edges.size(), 5);
        std::vector<std::int64_t> actual(edges.size(), 5);
        std::int64_t expected_nans = 2;
        std::int64_t actual_nans = 2;
        const auto count = static_cast<std::int64_t>(n);
        ref_row<F32EdgeCountsFn>().fn(
            {values.data(), count, edges.data(), edge_count, expected.data(), &expected_nans});
        row.fn({values.data(), count, edges.data(), edge_count, actual.data(), &actual_nans});
        INFO(std::string(row.name) << " n " << n << " edges " << edge_count);
        CHECK(actual == expected);
        CHECK(actual_nans == expected_nans);
      }
    }
  }
}

}  // namespace
}  // namespace edgeml::test
