// SPDX-License-Identifier: Apache-2.0
// Every qs8_vmul row that this machine runs equals ref, in place too, and with one word in the place of b.
#include "kernels/qs8_vmul/qs8_vmul.h"

#include <doctest/doctest.h>

#include <string>

#include "support/guarded_buffer.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

struct VmulCase {
  std::size_t n;
  Pattern a, b;
  Multiplier multiplier;
  std::int32_t zero_point_a, zero_point_b;  // canonical
  OutputRange range;
  bool b_is_word, in_place;
};

template <class Row>
bool equals_ref(const Row& row, const VmulCase& shape, Edge edge, Rng& rng) {
  GuardedBuffer<act_t> a(shape.n, edge);
  GuardedBuffer<act_t> b(shape.b_is_word ? 4 : shape.n, edge);
  GuardedBuffer<act_t> expected(shape.n, edge);
  GuardedBuffer<act_t> separate(shape.n, edge);
  fill_activations(a.span(), shape.a, rng);
  fill_activations(b.span(), shape.b, rng);
  GuardedBuffer<act_t>& actual = shape.in_place ? a : separate;
  QS8VmulArgs args{.a = a.data(),
                   .b = b.data(),
                   .out = expected.data(),
                   .n = static_cast<std::int64_t>(shape.n),
                   .zero_point_a = shape.zero_point_a + kActOffset,
                   .zero_point_b = shape.zero_point_b + kActOffset,
                   .multiplier = multiplier(shape.multiplier, 10000.0F, rng),
                   .b_is_word = shape.b_is_word,
                   .range = shape.range};
  ref_row<QS8VmulFn>().fn(args);
  args.out = actual.data();
  row.fn(args);
  return actual.equals(expected) && actual.canary_intact();
}

TEST_CASE("qs8_vmul equals ref for every length, in place or not, by words or not") {
  Rng rng(1);
  for (const auto& row : runnable_rows<QS8VmulFn>()) {
    for (std::size_t n = 1; n <= 200; ++n) {
      for (const bool in_place : {false, true}) {
        for (const bool words : {false, true}) {
          for (const Edge edge : kEdges) {
            INFO(std::string(row.name) << " n " << n);
            CHECK(equals_ref(row,
                             {.n = words ? 4 * n : n,
                              .a = Pattern::random,
                              .b = Pattern::random,
                              .multiplier = Multiplier::spread,
                              .zero_point_a = 3,
                              .zero_point_b = -7,
                              .range = output_range(-128, 127, 11),
                              .b_is_word = words,
                              .in_place = in_place},
                             edge, rng));
          }
        }
      }
    }
  }
}

TEST_CASE("qs8_vmul equals ref at extremes, on ties and for every output range") {
  Rng rng(2);
  for (const auto& row : runnable_rows<QS8VmulFn>()) {
    for (const OutputRange& range : output_ranges()) {
      for (const Multiplier kind : kMultipliers) {
        for (const Pattern a : kPatterns) {
          for (const Pattern b : kPatterns) {
            for (const std::int32_t zero_point : {-128, 0, 127}) {
              INFO(std::string(row.name));
              CHECK(equals_ref(row,
                               {.n = 131,
                                .a = a,
                                .b = b,
                                .multiplier = kind,
                                .zero_point_a = zero_point,
                                .zero_point_b = -1 - zero_point,
                                .range = range,
                                .b_is_word = false,
                                .in_place = false},
                               Edge::end, rng));
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace edgeml::test
