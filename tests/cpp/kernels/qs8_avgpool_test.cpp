// SPDX-License-Identifier: Apache-2.0
// Every qs8_avgpool row that this machine runs equals ref.
#include "kernels/qs8_avgpool/qs8_avgpool.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "support/guarded_buffer.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

struct AvgpoolCase {
  std::int32_t in_h, in_w, kernel_h, kernel_w;
  std::int32_t stride = 1, pad = 0;
  Pattern inputs = Pattern::random;
  Multiplier multiplier = Multiplier::spread;
  std::int32_t zero_point = 4;
  OutputRange range = output_range(-128, 127, 0);
};

template <class Row>
void check(const Row& row, const AvgpoolCase& c, Rng& rng) {
  const std::int32_t out_h = (c.in_h + 2 * c.pad - c.kernel_h) / c.stride + 1;
  const std::int32_t out_w = (c.in_w + 2 * c.pad - c.kernel_w) / c.stride + 1;
  for (const Edge edge : kEdges) {
    GuardedBuffer<act_t> in(static_cast<std::size_t>(c.in_h) * c.in_w * 4, edge);
    GuardedBuffer<act_t> expected(static_cast<std::size_t>(out_h) * out_w * 4, edge);
    GuardedBuffer<act_t> actual(expected.size(), edge);
    GuardedBuffer<float> multipliers(static_cast<std::size_t>(c.kernel_h) * c.kernel_w, edge);
    fill_activations(in.span(), c.inputs, rng);
    for (std::size_t n = 0; n < multipliers.size(); ++n) {
      multipliers[n] = multiplier(c.multiplier, 100.0F * static_cast<float>(n + 1), rng);
    }
    QS8AvgpoolArgs args{.in = in.data(),
                        .in_h = c.in_h,
                        .in_w = c.in_w,
                        .kernel_h = c.kernel_h,
                        .kernel_w = c.kernel_w,
                        .stride_h = c.stride,
                        .stride_w = c.stride,
                        .pad_top = c.pad,
                        .pad_left = c.pad,
                        .out_h = out_h,
                        .out_w = out_w,
                        .zero_point = c.zero_point + kActOffset,
                        .multiplier = multipliers.data(),
                        .out = expected.data(),
                        .range = c.range};
    ref_row<QS8AvgpoolFn>().fn(args);
    args.out = actual.data();
    row.fn(args);
    INFO(std::string(row.name) << " in " << c.in_h << "x" << c.in_w << " window " << c.kernel_h << "x" << c.kernel_w
                               << " stride " << c.stride << " pad " << c.pad);
    CHECK(actual.equals(expected));
    CHECK(actual.canary_intact());
  }
}

TEST_CASE("qs8_avgpool equals ref over whole planes") {
  Rng rng(1);
  for (const auto& row : runnable_rows<QS8AvgpoolFn>()) {
    for (std::int32_t h = 1; h <= 9; ++h) {
      for (std::int32_t w = 1; w <= 19; ++w) {
        check(row, {.in_h = h, .in_w = w, .kernel_h = h, .kernel_w = w}, rng);
      }
    }
    check(row, {.in_h = 112, .in_w = 113, .kernel_h = 112, .kernel_w = 113, .inputs = Pattern::all_max}, rng);
  }
}

TEST_CASE("qs8_avgpool equals ref for windows, strides and padding") {
  Rng rng(2);
  for (const auto& row : runnable_rows<QS8AvgpoolFn>()) {
    for (const std::int32_t kernel : {1, 2, 3, 5}) {
      for (const std::int32_t stride : {1, 2, 3}) {
        for (std::int32_t pad = 0; pad < kernel; ++pad) {
          for (const std::int32_t w : {5, 16, 23}) {
            check(row, {.in_h = 7, .in_w = w, .kernel_h = kernel, .kernel_w = kernel, .stride = stride, .pad = pad},
                  rng);
          }
        }
      }
    }
  }
}

TEST_CASE("qs8_avgpool equals ref at extremes, on ties and for every output range") {
  Rng rng(3);
  for (const auto& row : runnable_rows<QS8AvgpoolFn>()) {
    for (const OutputRange& range : output_ranges()) {
      for (const Multiplier kind : kMultipliers) {
        for (const Pattern inputs : kPatterns) {
          for (const std::int32_t zero_point : {-128, 127}) {
            check(row,
                  {.in_h = 7,
                   .in_w = 7,
                   .kernel_h = 7,
                   .kernel_w = 7,
                   .inputs = inputs,
                   .multiplier = kind,
                   .zero_point = zero_point,
                   .range = range},
                  rng);
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace edgeml::test
