// SPDX-License-Identifier: Apache-2.0
// x8_maxpool: ref against hand-made planes, and every other row that this machine runs against ref.
#include "kernels/x8_maxpool/x8_maxpool.h"

#include <doctest/doctest.h>

#include <string>

#include "support/guarded_buffer.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

struct MaxpoolCase {
  std::int32_t in_h, in_w, kernel, stride, dilation, pad;
};

X8MaxpoolArgs args_of(const MaxpoolCase& c) {
  const std::int32_t window = (c.kernel - 1) * c.dilation + 1;
  return {.in = nullptr,
          .in_h = c.in_h,
          .in_w = c.in_w,
          .kernel_h = c.kernel,
          .kernel_w = c.kernel,
          .stride_h = c.stride,
          .stride_w = c.stride,
          .dilation_h = c.dilation,
          .dilation_w = c.dilation,
          .pad_top = c.pad,
          .pad_left = c.pad,
          .out_h = (c.in_h + 2 * c.pad - window) / c.stride + 1,
          .out_w = (c.in_w + 2 * c.pad - window) / c.stride + 1,
          .out = nullptr};
}

TEST_CASE("x8_maxpool takes the largest tap inside the plane, per channel") {
  X8MaxpoolArgs args = args_of({.in_h = 2, .in_w = 2, .kernel = 2, .stride = 1, .dilation = 1, .pad = 1});
  for (const Edge edge : kEdges) {
    GuardedBuffer<act_t> in(16, edge);
    for (std::size_t i = 0; i < in.size(); ++i) in[i] = static_cast<act_t>(kActMin + (i % 4 == 3 ? 15 - i : i));
    GuardedBuffer<act_t> out(static_cast<std::size_t>(args.out_h) * args.out_w * 4, edge);
    args.in = in.data();
    args.out = out.data();
    ref_row<X8MaxpoolFn>().fn(args);
    const int pixel_of_window[] = {0, 1, 1, 2, 3, 3, 2, 3, 3};  // channels 0..2 grow with the pixel
    const int channel3_pixel[] = {0, 0, 1, 0, 0, 1, 2, 2, 3};   // channel 3 falls
    for (std::size_t p = 0; p < 9; ++p) {
      CHECK(out[p * 4] == in[pixel_of_window[p] * 4]);
      CHECK(out[p * 4 + 2] == in[pixel_of_window[p] * 4 + 2]);
      CHECK(out[p * 4 + 3] == in[channel3_pixel[p] * 4 + 3]);
    }
  }
}

TEST_CASE("x8_maxpool equals ref for windows, strides, dilation and padding") {
  Rng rng(1);
  for (const auto& row : runnable_rows<X8MaxpoolFn>()) {
    for (const std::int32_t kernel : {1, 2, 3, 5}) {
      for (const std::int32_t stride : {1, 2, 3}) {
        for (const std::int32_t dilation : {1, 2}) {
          for (const std::int32_t in_w : {9, 16, 33}) {
            for (const Edge edge : kEdges) {
              X8MaxpoolArgs args = args_of({.in_h = 9,
                                            .in_w = in_w,
                                            .kernel = kernel,
                                            .stride = stride,
                                            .dilation = dilation,
                                            .pad = kernel / 2});
              GuardedBuffer<act_t> in(static_cast<std::size_t>(args.in_h) * args.in_w * 4, edge);
              fill_activations(in.span(), Pattern::random, rng);
              GuardedBuffer<act_t> expected(static_cast<std::size_t>(args.out_h) * args.out_w * 4, edge);
              GuardedBuffer<act_t> actual(expected.size(), edge);
              args.in = in.data();
              args.out = expected.data();
              ref_row<X8MaxpoolFn>().fn(args);
              args.out = actual.data();
              row.fn(args);
              INFO(std::string(row.name) << " kernel " << kernel << " stride " << stride << " dilation " << dilation);
              CHECK(actual.equals(expected));
              CHECK(actual.canary_intact());
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace edgeml::test
