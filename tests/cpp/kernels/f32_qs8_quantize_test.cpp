// SPDX-License-Identifier: Apache-2.0
// Every f32_qs8_quantize row that this machine runs equals ref, for every kind of float.
#include "kernels/f32_qs8_quantize/f32_qs8_quantize.h"

#include <doctest/doctest.h>

#include <bit>
#include <limits>
#include <string>

#include "support/guarded_buffer.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

enum class Floats { usual, ties, any_bits, special };

void fill_floats(std::span<float> values, Floats kind, float scale, Rng& rng) {
  constexpr float kSpecial[] = {0.0F,
                                -0.0F,
                                std::numeric_limits<float>::infinity(),
                                -std::numeric_limits<float>::infinity(),
                                std::numeric_limits<float>::quiet_NaN(),
                                std::numeric_limits<float>::denorm_min(),
                                std::numeric_limits<float>::max(),
                                std::numeric_limits<float>::lowest()};
  for (float& value : values) {
    switch (kind) {
      case Floats::usual:
        value = std::uniform_real_distribution<float>(-150.0F, 150.0F)(rng) * scale;
        break;
      case Floats::ties:
        value = (static_cast<float>(static_cast<std::int32_t>(rng() % 600) - 300) + 0.5F) * scale;
        break;
      case Floats::any_bits:
        value = std::bit_cast<float>(static_cast<std::uint32_t>(rng()));
        break;
      case Floats::special:
        value = kSpecial[rng() % std::size(kSpecial)];
        break;
    }
  }
}

template <class Row>
void check(const Row& row, std::int32_t channels, std::int64_t pixels, Floats kind, float scale,
           const OutputRange& range, Rng& rng) {
  // A single pixel stands as a vector of channels; other planes have a gap.
  const std::int64_t plane_step = pixels == 1 ? 4 : pixels * 4 + 8;
  const std::size_t out_bytes = (channels - 1) / 4 * plane_step + pixels * 4;
  for (const Edge edge : kEdges) {
    GuardedBuffer<float> in(static_cast<std::size_t>(channels * pixels), edge);
    GuardedBuffer<act_t> expected(out_bytes, edge);
    GuardedBuffer<act_t> actual(out_bytes, edge);
    fill_floats(in.span(), kind, scale, rng);
    F32QS8QuantizeArgs args{.in = in.data(),
                            .channels = channels,
                            .pixels = pixels,
                            .scale = scale,
                            .out = expected.data(),
                            .out_plane_step = plane_step,
                            .range = range};
    ref_row<F32QS8QuantizeFn>().fn(args);
    args.out = actual.data();
    row.fn(args);
    INFO(std::string(row.name) << " channels " << channels << " pixels " << pixels);
    CHECK(actual.equals(expected));
    CHECK(actual.canary_intact());
  }
}

TEST_CASE("f32_qs8_quantize equals ref for every shape") {
  Rng rng(1);
  for (const auto& row : runnable_rows<F32QS8QuantizeFn>()) {
    for (std::int32_t channels = 1; channels <= 9; ++channels) {
      for (std::int64_t pixels = 1; pixels <= 70; ++pixels) {
        check(row, channels, pixels, Floats::usual, 0.037F, output_range(-128, 127, 13), rng);
      }
    }
  }
}

TEST_CASE("f32_qs8_quantize equals ref for vectors of every length") {
  Rng rng(3);
  for (const auto& row : runnable_rows<F32QS8QuantizeFn>()) {
    for (std::int32_t channels = 1; channels <= 70; ++channels) {
      for (const Floats kind : {Floats::usual, Floats::special}) {
        check(row, channels, 1, kind, 0.037F, output_range(-128, 127, 13), rng);
        check(row, channels, 1, kind, 0.037F, output_range(3, 3, 17), rng);
      }
    }
  }
}

TEST_CASE("f32_qs8_quantize equals ref for ties, infinities, NaN, denormals and every output range") {
  Rng rng(2);
  for (const auto& row : runnable_rows<F32QS8QuantizeFn>()) {
    for (const OutputRange& range : output_ranges()) {
      for (const Floats kind : {Floats::usual, Floats::ties, Floats::any_bits, Floats::special}) {
        for (const float scale : {0.5F, 0.1F, 1.0F, 3e-39F * 8, 1e30F}) {
          check(row, 5, 147, kind, scale, range, rng);
        }
      }
    }
  }
}

}  // namespace
}  // namespace edgeml::test
