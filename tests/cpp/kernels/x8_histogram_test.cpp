// SPDX-License-Identifier: Apache-2.0
// Every x8_histogram row that this machine runs counts as a loop over the bytes does.
#include "kernels/x8_histogram/x8_histogram.h"

#include <doctest/doctest.h>

#include <vector>

#include "support/guarded_buffer.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

TEST_CASE("x8_histogram adds to the counts") {
  Rng rng(2);
  for (const auto& row : runnable_rows<X8HistogramFn>()) {
    for (const std::size_t n : {0U, 1U, 255U, 1023U, 1024U, 1031U, 5000U}) {
      for (const Pattern pattern : kPatterns) {
        GuardedBuffer<std::uint8_t> in(n, Edge::end);
        fill<std::uint8_t>(in.span(), pattern, 0, 255, rng);
        std::vector<std::int64_t> expected(256, 7);
        std::vector<std::int64_t> actual(256, 7);
        for (const std::uint8_t byte : in.span()) ++expected[byte];
        row.fn({in.data(), static_cast<std::int64_t>(n), actual.data()});
        CHECK(actual == expected);
      }
    }
  }
}

}  // namespace
}  // namespace edgeml::test
