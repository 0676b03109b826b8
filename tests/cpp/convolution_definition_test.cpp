// SPDX-License-Identifier: Apache-2.0
// Every row of qs8_gemm and qs8_dwconv, ref included, against convolution as numerics.md defines it: canonical values,
// zero points subtracted, padding left out, 64-bit sums, requantization in exact arithmetic.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/pack_weights.h"
#include "kernels/qs8_dwconv/qs8_dwconv_pack.h"
#include "kernels/qs8_dwconv/qs8_dwconv_padded.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

struct Conv {
  std::int32_t in_channels, out_channels, size, kernel, stride, pad;
  std::int32_t zx, zy, act_min, act_max;
  std::int32_t out_size() const { return (size + 2 * pad - kernel) / stride + 1; }
};

struct Operands {
  std::vector<std::int8_t> x,
      w;  // x [channels][size][size]; w [out][kernel][kernel][in], or [kernel][kernel][channels]
  std::vector<std::int32_t> bias;
  std::vector<float> multiplier;
};

Operands random_operands(const Conv& c, bool depthwise, Rng& rng) {
  const std::int32_t taps = c.kernel * c.kernel;
  Operands o;
  o.x.resize(static_cast<std::size_t>(c.in_channels) * c.size * c.size);
  o.w.resize(static_cast<std::size_t>(c.out_channels) * taps * (depthwise ? 1 : c.in_channels));
  o.bias.resize(c.out_channels);
  o.multiplier.resize(c.out_channels);
  fill<std::int8_t>(o.x, Pattern::random, -128, 127, rng);
  fill<std::int8_t>(o.w, Pattern::random, -127, 127, rng);
  for (auto& b : o.bias) b = static_cast<std::int32_t>(rng() % 20001) - 10000;
  for (auto& m : o.multiplier) m = multiplier(Multiplier::spread, 30000.0F, rng);
  return o;
}

std::int64_t sum_of_weights(const Conv& c, const Operands& o, bool depthwise, std::int32_t out) {
  const std::int32_t taps = c.kernel * c.kernel;
  std::int64_t sum = 0;
  if (depthwise) {
    for (std::int32_t t = 0; t < taps; ++t) sum += o.w[static_cast<std::size_t>(t) * c.in_channels + out];
  } else {
    for (std::int32_t k = 0; k < taps * c.in_channels; ++k) sum += o.w[std::size_t(out) * taps * c.in_channels + k];
  }
  return sum;
}

// The definition: one output value in the canonical domain.
std::int32_t expected(const Conv& c, const Operands& o, bool depthwise, std::int32_t out, std::int32_t oy,
                      std::int32_t ox) {
  std::int64_t acc = o.bias[out];
  for (std::int32_t ky = 0; ky < c.kernel; ++ky) {
    for (std::int32_t kx = 0; kx < c.kernel; ++kx) {
      const std::int32_t y = oy * c.stride + ky - c.pad;
      const std::int32_t x = ox * c.stride + kx - c.pad;
      if (y < 0 || y >= c.size || x < 0 || x >= c.size) continue;
      const std::int32_t tap = ky * c.kernel + kx;
      for (std::int32_t in = depthwise ? out : 0; in < (depthwise ? out + 1 : c.in_channels); ++in) {
        const std::int8_t w = depthwise ? o.w[static_cast<std::size_t>(tap) * c.in_channels + in]
                                        : o.w[(std::size_t(out) * c.kernel * c.kernel + tap) * c.in_channels + in];
        acc += std::int64_t{w} * (o.x[(static_cast<std::size_t>(in) * c.size + y) * c.size + x] - c.zx);
      }
    }
  }
  // The product of two floats is exact in double; rounding it to float and then to an integer is numerics.md,
  // section 4.
  const auto product = static_cast<float>(static_cast<double>(static_cast<float>(acc)) * o.multiplier[out]);
  const double rounded = std::nearbyint(static_cast<double>(product));
  return static_cast<std::int32_t>(std::clamp(rounded, double(c.act_min - c.zy), double(c.act_max - c.zy))) + c.zy;
}

// x in C4P with explicit padding, memory domain: [ceil(C/4)][padded][padded][4], padded = size + 2*pad.
std::vector<act_t> padded_input(const Conv& c, const Operands& o, std::int32_t pad) {
  const std::int32_t padded = c.size + 2 * pad;
  const std::int32_t planes = (c.in_channels + 3) / 4;
  std::vector<act_t> in(static_cast<std::size_t>(planes) * padded * padded * 4, static_cast<act_t>(c.zx + kActOffset));
  for (std::int32_t ch = 0; ch < c.in_channels; ++ch) {
    for (std::int32_t y = 0; y < c.size; ++y) {
      for (std::int32_t x = 0; x < c.size; ++x) {
        const std::size_t word = (static_cast<std::size_t>(ch / 4) * padded + y + pad) * padded + x + pad;
        in[word * 4 + ch % 4] =
            static_cast<act_t>(o.x[(static_cast<std::size_t>(ch) * c.size + y) * c.size + x] + kActOffset);
      }
    }
  }
  return in;
}

std::int32_t folded_bias(const Conv& c, const Operands& o, bool depthwise, std::int32_t out) {
  return static_cast<std::int32_t>(o.bias[out] - (c.zx + kActOffset) * sum_of_weights(c, o, depthwise, out));
}

void check_outputs(const Conv& c, const Operands& o, bool depthwise, const std::vector<act_t>& out) {
  const std::int32_t size = c.out_size();
  for (std::int32_t ch = 0; ch < c.out_channels; ++ch) {
    for (std::int32_t y = 0; y < size; ++y) {
      for (std::int32_t x = 0; x < size; ++x) {
        const std::size_t word = (static_cast<std::size_t>(ch / 4) * size + y) * size + x;
        REQUIRE(out[word * 4 + ch % 4] - kActOffset == expected(c, o, depthwise, ch, y, x));
      }
    }
  }
}

constexpr Conv kConvs[] = {
    {5, 7, 9, 3, 2, 1, -7, 11, -128, 127},   {4, 40, 6, 1, 1, 0, 127, -128, -128, 127},
    {9, 33, 8, 3, 1, 1, -128, 3, 3, 90},     {3, 16, 11, 3, 2, 1, 5, -128, -128, 0},
    {6, 18, 10, 5, 1, 2, 0, 127, -100, 127},
};

TEST_CASE("qs8_gemm is convolution") {
  Rng rng(1);
  for (const auto& row : runnable_rows<QS8GemmFn>()) {
    for (const Conv& c : kConvs) {
      INFO(std::string(row.name));
      const Operands o = random_operands(c, false, rng);
      const std::vector<act_t> in = padded_input(c, o, c.pad);
      const std::int32_t padded = c.size + 2 * c.pad;
      const std::int32_t planes = (c.in_channels + 3) / 4;
      std::vector<std::int32_t> offsets;
      for (std::int32_t tap = 0; tap < c.kernel * c.kernel; ++tap) {
        for (std::int32_t g = 0; g < planes; ++g) {
          offsets.push_back(((g * padded + tap / c.kernel) * padded + tap % c.kernel) * 4);
        }
      }
      const auto k_groups = static_cast<std::int32_t>(offsets.size());
      std::vector<std::int8_t> packed(qs8_gemm_packed_bytes(c.out_channels, k_groups, row.nr, row.kr));
      qs8_gemm_pack(o.w.data(), c.out_channels, c.kernel * c.kernel, c.in_channels, row.nr, row.kr, packed.data());
      const std::int32_t panels = (c.out_channels + row.nr - 1) / row.nr;
      std::vector<std::int32_t> bias(static_cast<std::size_t>(panels) * row.nr);
      std::vector<float> multipliers(bias.size());
      for (std::int32_t n = 0; n < c.out_channels; ++n) {
        bias[n] = folded_bias(c, o, false, n);
        multipliers[n] = o.multiplier[n];
      }
      const std::int32_t pixels = c.out_size() * c.out_size();
      std::vector<act_t> out(static_cast<std::size_t>((c.out_channels + 3) / 4) * pixels * 4);
      std::vector<std::uint8_t> scratch(qs8_gemm_workspace_bytes(row.mr, row.nr, row.kr, k_groups) + 64);
      auto* workspace = reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(scratch.data()) + 63) / 64 * 64);
      row.fn({.in = in.data(),
              .group_offset = offsets.data(),
              .k_groups = k_groups,
              .out_w = c.out_size(),
              .in_row_step = c.stride * padded * 4,
              .in_col_step = c.stride * 4,
              .weights = packed.data(),
              .bias = bias.data(),
              .multiplier = multipliers.data(),
              .channels = c.out_channels,
              .out = out.data(),
              .out_plane_step = pixels * std::int64_t{4},
              .out_pixel_step = 4,
              .range = output_range(c.act_min, c.act_max, c.zy),
              .pixel_begin = 0,
              .pixel_end = pixels,
              .panel_begin = 0,
              .panel_end = panels,
              .workspace = workspace});
      check_outputs(c, o, false, out);
    }
  }
}

TEST_CASE("qs8_dwconv is depthwise convolution") {
  Rng rng(2);
  for (const auto& row : runnable_rows<QS8DwconvFn>()) {
    for (Conv c : kConvs) {
      INFO(std::string(row.name));
      c.out_channels = c.in_channels;
      const Operands o = random_operands(c, true, rng);
      const std::vector<act_t> in = padded_input(c, o, 0);
      const std::int32_t planes = (c.in_channels + 3) / 4;
      const std::int32_t taps = c.kernel * c.kernel;
      const std::int64_t packed_step = qs8_dwconv_packed_bytes(c.kernel, c.kernel, row.kr);
      std::vector<std::int8_t> packed(static_cast<std::size_t>(planes * packed_step));
      std::vector<std::int32_t> bias(static_cast<std::size_t>(planes) * 4);
      std::vector<float> multipliers(bias.size());
      for (std::int32_t plane = 0; plane < planes; ++plane) {
        std::vector<std::int8_t> canonical(static_cast<std::size_t>(taps) * 4);
        for (std::int32_t i = 0; i < 4 && plane * 4 + i < c.in_channels; ++i) {
          for (std::int32_t t = 0; t < taps; ++t) {
            canonical[t * 4 + i] = o.w[static_cast<std::size_t>(t) * c.in_channels + plane * 4 + i];
          }
          bias[plane * 4 + i] = folded_bias(c, o, true, plane * 4 + i);
          multipliers[plane * 4 + i] = o.multiplier[plane * 4 + i];
        }
        qs8_dwconv_pack(canonical.data(), c.kernel, c.kernel, row.kr, packed.data() + plane * packed_step);
      }
      const std::int32_t pixels = c.out_size() * c.out_size();
      std::vector<act_t> out(static_cast<std::size_t>(planes) * pixels * 4);
      const std::int32_t reach = window_reach(c.out_size(), c.stride, c.kernel, 1);
      std::vector<act_t> scratch(static_cast<std::size_t>(qs8_dwconv_scratch_bytes(reach, reach)));
      row.fn({.planes = planes,
              .in = in.data(),
              .in_plane_step = std::int64_t{c.size} * c.size * 4,
              .in_h = c.size,
              .in_w = c.size,
              .pad_top = c.pad,
              .pad_left = c.pad,
              .zero_point_in = c.zx + kActOffset,
              .out_h = c.out_size(),
              .out_w = c.out_size(),
              .kernel_h = c.kernel,
              .kernel_w = c.kernel,
              .stride_h = c.stride,
              .stride_w = c.stride,
              .dilation_h = 1,
              .dilation_w = 1,
              .weights = packed.data(),
              .bias = bias.data(),
              .multiplier = multipliers.data(),
              .out = out.data(),
              .out_plane_step = std::int64_t{pixels} * 4,
              .range = output_range(c.act_min, c.act_max, c.zy),
              .scratch = scratch.data()});
      check_outputs(c, o, true, out);
    }
  }
}

}  // namespace
}  // namespace edgeml::test
