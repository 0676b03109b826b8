// SPDX-License-Identifier: Apache-2.0
// Every x8_lut row that this machine runs equals ref, in place too.
#include "kernels/x8_lut/x8_lut.h"

#include <doctest/doctest.h>

#include <string>

#include "support/guarded_buffer.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

TEST_CASE("x8_lut equals ref for every length, in place or not") {
  Rng rng(1);
  for (const auto& row : runnable_rows<X8LutFn>()) {
    for (std::size_t n = 1; n <= 700; n += n < 260 ? 1 : 37) {
      for (const Edge edge : kEdges) {
        GuardedBuffer<std::uint8_t> in(n, edge);
        GuardedBuffer<std::uint8_t> table(256, edge);
        GuardedBuffer<std::uint8_t> expected(n, edge);
        GuardedBuffer<std::uint8_t> actual(n, edge);
        fill<std::uint8_t>(table.span(), Pattern::random, 0, 255, rng);
        for (std::size_t i = 0; i < n; ++i) in[i] = static_cast<std::uint8_t>(i * 101);  // every byte once per 256
        ref_row<X8LutFn>().fn({in.data(), expected.data(), static_cast<std::int64_t>(n), table.data()});
        row.fn({in.data(), actual.data(), static_cast<std::int64_t>(n), table.data()});
        INFO(std::string(row.name) << " n " << n);
        CHECK(actual.equals(expected));
        CHECK(actual.canary_intact());
        row.fn({in.data(), in.data(), static_cast<std::int64_t>(n), table.data()});
        CHECK(in.equals(expected));
      }
    }
  }
}

}  // namespace
}  // namespace edgeml::test
