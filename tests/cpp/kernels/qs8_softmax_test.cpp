// SPDX-License-Identifier: Apache-2.0
// qs8_softmax: ref on values worked out by hand; every other row that this machine runs against ref.
#include "kernels/qs8_softmax/qs8_softmax.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "support/guarded_buffer.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

void fill_table(GuardedBuffer<std::uint32_t>& table, double scale) {
  for (std::size_t d = 0; d < 256; ++d) {
    table[d] = static_cast<std::uint32_t>(std::nearbyint(8388608.0 * std::exp(-scale * static_cast<double>(d))));
  }
}

TEST_CASE("qs8_softmax ref: equal inputs share, one winner takes 255/256, results are stored in the memory domain") {
  GuardedBuffer<std::uint32_t> table(256, Edge::end);
  fill_table(table, 1.0);
  GuardedBuffer<act_t> in(4, Edge::end);
  GuardedBuffer<act_t> out(4, Edge::end);
  GuardedBuffer<float> out_f32(4, Edge::end);
  const QS8SoftmaxArgs args{.in = in.data(),
                            .plane_step = 4,
                            .pixels = 1,
                            .n = 4,
                            .table = table.data(),
                            .out_s8 = out.data(),
                            .out_f32 = out_f32.data()};
  for (std::size_t i = 0; i < 4; ++i) in[i] = static_cast<act_t>(kActMin + 77);
  ref_row<QS8SoftmaxFn>().fn(args);
  for (std::size_t i = 0; i < 4; ++i) {
    CHECK(out[i] - kActOffset == 64 - 128);
    CHECK(out_f32[i] == 0.25F);
  }
  in[2] = kActMax;
  ref_row<QS8SoftmaxFn>().fn(args);
  CHECK(out[2] - kActOffset == 127);
  CHECK(out[0] - kActOffset == -128);
  CHECK(out_f32[2] == 1.0F);
  CHECK(out_f32[0] == 0.0F);
}

TEST_CASE("qs8_softmax equals ref") {
  Rng rng(1);
  for (const auto& row : runnable_rows<QS8SoftmaxFn>()) {
    for (const double scale : {0.002, 0.05, 1.0}) {
      for (const Pattern inputs : kPatterns) {
        for (std::size_t n = 1; n <= 1100; n += n < 70 ? 1 : 143) {
          for (const Edge edge : kEdges) {
            GuardedBuffer<std::uint32_t> table(256, edge);
            fill_table(table, scale);
            GuardedBuffer<act_t> in(n, edge);
            fill_activations(in.span(), inputs, rng);
            GuardedBuffer<act_t> expected(n, edge), actual(n, edge);
            GuardedBuffer<float> expected_f32(n, edge), actual_f32(n, edge);
            const auto size = static_cast<std::int32_t>(n);
            ref_row<QS8SoftmaxFn>().fn({in.data(), 4, 1, size, table.data(), expected.data(), expected_f32.data()});
            row.fn({in.data(), 4, 1, size, table.data(), actual.data(), nullptr});
            row.fn({in.data(), 4, 1, size, table.data(), nullptr, actual_f32.data()});
            INFO(std::string(row.name) << " n " << n);
            CHECK(actual.equals(expected));
            CHECK(actual_f32.equals(expected_f32));
          }
        }
      }
    }
  }
}

TEST_CASE("qs8_softmax equals ref for any table, ties of the quotient included") {
  Rng rng(2);
  std::uniform_int_distribution<std::uint32_t> any;
  for (const auto& row : runnable_rows<QS8SoftmaxFn>()) {
    for (const std::uint32_t mask : {0x1U, 0xffU, 0x7fffffU, 0xffffffffU}) {
      for (int round = 0; round < 200; ++round) {
        const auto n = static_cast<std::int32_t>(1 + rng() % 600);
        GuardedBuffer<std::uint32_t> table(256, Edge::end);
        for (std::size_t d = 0; d < 256; ++d) table[d] = any(rng) & mask;
        table[0] |= 1;
        const auto size = static_cast<std::size_t>(n);
        GuardedBuffer<act_t> in(size, Edge::end);
        fill_activations(in.span(), Pattern::random, rng);
        GuardedBuffer<act_t> expected(size, Edge::end), actual(size, Edge::end);
        GuardedBuffer<float> expected_f32(size, Edge::end), actual_f32(size, Edge::end);
        ref_row<QS8SoftmaxFn>().fn({in.data(), 4, 1, n, table.data(), expected.data(), expected_f32.data()});
        row.fn({in.data(), 4, 1, n, table.data(), actual.data(), actual_f32.data()});
        INFO(std::string(row.name) << " n " << n << " mask " << mask);
        CHECK(actual.equals(expected));
        CHECK(actual_f32.equals(expected_f32));
      }
    }
  }
}

// Pixels side by side, planes of 4 channels one after another; absent channels are never looked at.
TEST_CASE("qs8_softmax equals ref over many pixels") {
  Rng rng(2);
  for (const auto& row : runnable_rows<QS8SoftmaxFn>()) {
    for (const double scale : {0.002, 0.05, 1.0}) {
      for (const Pattern inputs : kPatterns) {
        for (const std::int32_t n : {1, 2, 3, 4, 5, 99, 127, 130, 300}) {
          for (const std::int64_t pixels : {2, 15, 16, 17, 35}) {
            const auto bytes = static_cast<std::size_t>((n + 3) / 4 * pixels * 4);
            const auto elements = static_cast<std::size_t>(n * pixels);
            GuardedBuffer<std::uint32_t> table(256, Edge::end);
            fill_table(table, scale);
            GuardedBuffer<act_t> in(bytes, Edge::end), expected(bytes, Edge::end), actual(bytes, Edge::end);
            GuardedBuffer<float> expected_f32(elements, Edge::end), actual_f32(elements, Edge::end);
            fill_activations(in.span(), inputs, rng);
            const std::int64_t step = pixels * 4;
            ref_row<QS8SoftmaxFn>().fn({in.data(), step, pixels, n, table.data(), expected.data(), nullptr});
            ref_row<QS8SoftmaxFn>().fn({in.data(), step, pixels, n, table.data(), nullptr, expected_f32.data()});
            row.fn({in.data(), step, pixels, n, table.data(), actual.data(), nullptr});
            row.fn({in.data(), step, pixels, n, table.data(), nullptr, actual_f32.data()});
            bool same = true;
            for (std::int32_t c = 0; c < n; ++c) {
              for (std::int64_t p = 0; p < pixels; ++p) {
                const auto at = static_cast<std::size_t>(c / 4 * step + p * 4 + c % 4);
                same = same && actual.data()[at] == expected.data()[at];
              }
            }
            INFO(std::string(row.name) << " n " << n << " pixels " << pixels);
            CHECK(same);
            CHECK(actual_f32.equals(expected_f32));
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace edgeml::test
