// SPDX-License-Identifier: Apache-2.0
// Every qs8_rescale row that this machine runs equals ref, in place too.
#include "kernels/qs8_rescale/qs8_rescale.h"

#include <doctest/doctest.h>

#include <string>

#include "support/guarded_buffer.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

template <class Row>
void check(const Row& row, std::size_t n, Pattern inputs, Multiplier kind, std::int32_t zero_point,
           const OutputRange& range, Rng& rng) {
  for (const Edge edge : kEdges) {
    GuardedBuffer<act_t> in(n, edge);
    GuardedBuffer<act_t> expected(n, edge);
    GuardedBuffer<act_t> actual(n, edge);
    fill_activations(in.span(), inputs, rng);
    QS8RescaleArgs args{.in = in.data(),
                        .out = expected.data(),
                        .n = static_cast<std::int64_t>(n),
                        .zero_point = zero_point + kActOffset,
                        .multiplier = multiplier(kind, 100.0F, rng),
                        .range = range};
    ref_row<QS8RescaleFn>().fn(args);
    args.out = actual.data();
    row.fn(args);
    INFO(std::string(row.name) << " n " << n);
    CHECK(actual.equals(expected));
    CHECK(actual.canary_intact());
    args.out = in.data();
    row.fn(args);
    CHECK(in.equals(expected));
  }
}

TEST_CASE("qs8_rescale equals ref for every length, in place or not") {
  Rng rng(1);
  for (const auto& row : runnable_rows<QS8RescaleFn>()) {
    for (std::size_t n = 1; n <= 200; ++n) {
      check(row, n, Pattern::random, Multiplier::spread, 5, output_range(-128, 127, -9), rng);
    }
  }
}

TEST_CASE("qs8_rescale equals ref at extremes, on ties and for every output range") {
  Rng rng(2);
  for (const auto& row : runnable_rows<QS8RescaleFn>()) {
    for (const OutputRange& range : output_ranges()) {
      for (const Multiplier kind : kMultipliers) {
        for (const Pattern inputs : kPatterns) {
          for (const std::int32_t zero_point : {-128, 0, 127}) check(row, 131, inputs, kind, zero_point, range, rng);
        }
      }
    }
  }
}

}  // namespace
}  // namespace edgeml::test
