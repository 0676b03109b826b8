// SPDX-License-Identifier: Apache-2.0
// Every qs8_layernorm row that this machine runs equals ref, in place too; absent channels are never looked at.
#include "kernels/qs8_layernorm/qs8_layernorm.h"

#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "support/guarded_buffer.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

struct LayernormCase {
  std::int32_t channels;
  std::int64_t pixels;
  Pattern pattern;
  std::int32_t zero_point;  // canonical
  double epsilon;
  float gain;  // the largest
  OutputRange range;
};

template <class Row>
bool equals_ref(const Row& row, const LayernormCase& shape, Edge edge, Rng& rng) {
  const std::int32_t groups = (shape.channels + 3) / 4;
  const auto bytes = static_cast<std::size_t>(groups * shape.pixels * 4);
  GuardedBuffer<act_t> in(bytes, edge);
  GuardedBuffer<act_t> expected(bytes, edge);
  GuardedBuffer<act_t> actual(bytes, edge);
  fill_activations(in.span(), shape.pattern, rng);
  std::uniform_real_distribution<float> uniform(-shape.gain, shape.gain);
  std::vector<float> gain(static_cast<std::size_t>(groups * 4));
  std::vector<float> shift(static_cast<std::size_t>(groups * 4));
  for (float& value : gain) value = uniform(rng);
  for (float& value : shift) value = uniform(rng);
  QS8LayernormArgs args{.in = in.data(),
                        .out = expected.data(),
                        .plane_step = shape.pixels * 4,
                        .pixels = shape.pixels,
                        .channels = shape.channels,
                        .zero_point = shape.zero_point + kActOffset,
                        .epsilon = shape.epsilon,
                        .gain = gain.data(),
                        .shift = shift.data(),
                        .range = shape.range};
  ref_row<QS8LayernormFn>().fn(args);
  args.out = actual.data();
  row.fn(args);
  for (std::int32_t c = 0; c < shape.channels; ++c) {
    for (std::int64_t p = 0; p < shape.pixels; ++p) {
      const auto at = static_cast<std::size_t>(c / 4 * args.plane_step + p * 4 + c % 4);
      if (actual.data()[at] != expected.data()[at]) return false;
    }
  }
  return actual.canary_intact();
}

TEST_CASE("qs8_layernorm equals ref for every number of channels and pixels") {
  Rng rng(1);
  for (const auto& row : runnable_rows<QS8LayernormFn>()) {
    for (std::int32_t channels = 1; channels <= 37; ++channels) {
      for (const std::int64_t pixels : {1, 2, 15, 16, 17, 33}) {
        for (const Edge edge : kEdges) {
          INFO(std::string(row.name) << " channels " << channels << " pixels " << pixels);
          CHECK(equals_ref(row,
                           {.channels = channels,
                            .pixels = pixels,
                            .pattern = Pattern::random,
                            .zero_point = -9,
                            .epsilon = 1e-3,
                            .gain = 40.0F,
                            .range = output_range(-128, 127, 5)},
                           edge, rng));
        }
      }
    }
  }
}

TEST_CASE("qs8_layernorm equals ref at extremes") {
  Rng rng(2);
  for (const auto& row : runnable_rows<QS8LayernormFn>()) {
    for (const std::int32_t channels : {64, 1000, 16384}) {
      for (const Pattern pattern : kPatterns) {
        for (const std::int32_t zero_point : {-128, 0, 127}) {
          for (const float gain : {1e-6F, 3e4F}) {
            for (const double epsilon : {1.1754943508222875e-38, 1.0}) {
              INFO(std::string(row.name) << " channels " << channels);
              CHECK(equals_ref(row,
                               {.channels = channels,
                                .pixels = 3,
                                .pattern = pattern,
                                .zero_point = zero_point,
                                .epsilon = epsilon,
                                .gain = gain,
                                .range = output_range(-120, 127, -128)},
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
