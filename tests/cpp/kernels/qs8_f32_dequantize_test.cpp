// SPDX-License-Identifier: Apache-2.0
// Every qs8_f32_dequantize row that this machine runs equals ref, bit for bit.
#include "kernels/qs8_f32_dequantize/qs8_f32_dequantize.h"

#include <doctest/doctest.h>

#include <string>

#include "support/guarded_buffer.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

template <class Row>
void check(const Row& row, std::int32_t channels, std::int64_t pixels, std::int32_t zero_point, float scale, Rng& rng) {
  // A single pixel stands as a vector of channels; other planes have a gap.
  const std::int64_t plane_step = pixels == 1 ? 4 : pixels * 4 + 8;
  for (const Edge edge : kEdges) {
    GuardedBuffer<act_t> in((channels - 1) / 4 * plane_step + pixels * 4, edge);
    GuardedBuffer<float> expected(static_cast<std::size_t>(channels * pixels), edge);
    GuardedBuffer<float> actual(expected.size(), edge);
    fill_activations(in.span(), Pattern::random, rng);
    QS8F32DequantizeArgs args{.in = in.data(),
                              .in_plane_step = plane_step,
                              .channels = channels,
                              .pixels = pixels,
                              .zero_point = zero_point + kActOffset,
                              .scale = scale,
                              .out = expected.data()};
    ref_row<QS8F32DequantizeFn>().fn(args);
    args.out = actual.data();
    row.fn(args);
    INFO(std::string(row.name) << " channels " << channels << " pixels " << pixels);
    CHECK(actual.equals(expected));
    CHECK(actual.canary_intact());
  }
}

TEST_CASE("qs8_f32_dequantize equals ref for every shape, zero point and scale") {
  Rng rng(1);
  for (const auto& row : runnable_rows<QS8F32DequantizeFn>()) {
    for (std::int32_t channels = 1; channels <= 9; ++channels) {
      for (std::int64_t pixels = 1; pixels <= 70; ++pixels) check(row, channels, pixels, -3, 0.0371F, rng);
    }
    for (std::int32_t channels = 1; channels <= 70; ++channels) check(row, channels, 1, 99, 0.0371F, rng);
    for (const std::int32_t zero_point : {-128, 0, 127}) {
      for (const float scale : {0x1p-126F, 0.1F, 1e30F}) check(row, 6, 333, zero_point, scale, rng);
    }
  }
}

}  // namespace
}  // namespace edgeml::test
