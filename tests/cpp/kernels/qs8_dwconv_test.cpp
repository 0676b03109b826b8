// SPDX-License-Identifier: Apache-2.0
// Every qs8_dwconv row that this machine runs equals ref, byte for byte, and touches nothing but what
// qs8_dwconv.h describes.
#include "kernels/qs8_dwconv/qs8_dwconv.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/qs8_dwconv/qs8_dwconv_pack.h"
#include "kernels/qs8_dwconv/qs8_dwconv_padded.h"
#include "support/guarded_buffer.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

struct Window {
  std::int32_t kernel_h, kernel_w;
  std::int32_t stride_h = 1, stride_w = 1;
  std::int32_t dilation_h = 1, dilation_w = 1;
};

// Padding on each side: what the window reaches beyond the plane, negative where it stops short of the border.
struct Padding {
  std::int32_t top = 0, left = 0, bottom = 0, right = 0;
};

struct DwconvCase {
  Window window;
  std::int32_t out_h, out_w;
  Padding pads = {};
  std::int32_t planes = 1;
  Pattern inputs = Pattern::random;
  Pattern weights = Pattern::random;
  Multiplier multiplier = Multiplier::spread;
  OutputRange range = output_range(-128, 127, 0);
};

class DwconvProblem {
 public:
  DwconvProblem(const DwconvCase& shape, Edge edge, Rng& rng)
      : case_(shape),
        edge_(edge),
        in_(static_cast<std::size_t>((shape.planes - 1) * in_plane_step() + in_plane_bytes()), edge),
        taps_(taps() * 4 * static_cast<std::size_t>(shape.planes)),
        zero_point_(std::uniform_int_distribution<std::int32_t>(kActMin, kActMax)(rng)),
        bias_(static_cast<std::size_t>(shape.planes) * 4),
        multiplier_(bias_.size()) {
    fill_activations(in_.span(), shape.inputs, rng);
    fill<std::int8_t>(taps_, shape.weights, -127, 127, rng);
    for (std::size_t c = 0; c < bias_.size(); ++c) {
      bias_[c] = std::uniform_int_distribution<std::int32_t>(-9000, 9000)(rng);
      multiplier_[c] = multiplier(shape.multiplier, 5000.0F * std::sqrt(static_cast<float>(taps())), rng);
    }
  }

  template <class Row>
  void run(const Row& row, GuardedBuffer<act_t>& out) {
    const Window& w = case_.window;
    const std::int64_t packed_step = qs8_dwconv_packed_bytes(w.kernel_h, w.kernel_w, row.kr);
    GuardedBuffer<std::int8_t> weights(static_cast<std::size_t>(case_.planes * packed_step), edge_);
    for (std::int32_t plane = 0; plane < case_.planes; ++plane) {
      qs8_dwconv_pack(taps_.data() + static_cast<std::size_t>(plane) * taps() * 4, w.kernel_h, w.kernel_w, row.kr,
                      weights.data() + plane * packed_step);
    }
    GuardedBuffer<act_t> scratch(static_cast<std::size_t>(qs8_dwconv_scratch_bytes(reach_h(), reach_w())), edge_);
    row.fn({.planes = case_.planes,
            .in = in_.data(),
            .in_plane_step = in_plane_step(),
            .in_h = in_h(),
            .in_w = in_w(),
            .pad_top = case_.pads.top,
            .pad_left = case_.pads.left,
            .zero_point_in = zero_point_,
            .out_h = case_.out_h,
            .out_w = case_.out_w,
            .kernel_h = w.kernel_h,
            .kernel_w = w.kernel_w,
            .stride_h = w.stride_h,
            .stride_w = w.stride_w,
            .dilation_h = w.dilation_h,
            .dilation_w = w.dilation_w,
            .weights = weights.data(),
            .bias = bias_.data(),
            .multiplier = multiplier_.data(),
            .out = out.data(),
            .out_plane_step = out_plane_bytes() + kGap,
            .range = case_.range,
            .scratch = scratch.data()});
  }

  std::size_t out_bytes() const {
    return static_cast<std::size_t>((case_.planes - 1) * (out_plane_bytes() + kGap) + out_plane_bytes());
  }

 private:
  static constexpr std::int64_t kGap = 12;  // bytes from one plane's end to the next one's start

  std::size_t taps() const { return static_cast<std::size_t>(case_.window.kernel_h) * case_.window.kernel_w; }
  std::int32_t reach_h() const {
    return window_reach(case_.out_h, case_.window.stride_h, case_.window.kernel_h, case_.window.dilation_h);
  }
  std::int32_t reach_w() const {
    return window_reach(case_.out_w, case_.window.stride_w, case_.window.kernel_w, case_.window.dilation_w);
  }
  std::int32_t in_h() const { return std::max(1, reach_h() - case_.pads.top - case_.pads.bottom); }
  std::int32_t in_w() const { return std::max(1, reach_w() - case_.pads.left - case_.pads.right); }
  std::int64_t in_plane_bytes() const { return std::int64_t{in_h()} * in_w() * 4; }
  std::int64_t in_plane_step() const { return in_plane_bytes() + kGap; }
  std::int64_t out_plane_bytes() const { return std::int64_t{case_.out_h} * case_.out_w * 4; }

  DwconvCase case_;
  Edge edge_;
  GuardedBuffer<act_t> in_;
  std::vector<std::int8_t> taps_;
  std::int32_t zero_point_;
  std::vector<std::int32_t> bias_;
  std::vector<float> multiplier_;
};

template <class Row>
bool equals_ref(const Row& row, const DwconvCase& shape, Rng& rng) {
  bool equal = true;
  for (const Edge edge : kEdges) {
    DwconvProblem problem(shape, edge, rng);
    GuardedBuffer<act_t> expected(problem.out_bytes(), edge);
    GuardedBuffer<act_t> actual(problem.out_bytes(), edge);
    problem.run(ref_row<QS8DwconvFn>(), expected);
    problem.run(row, actual);
    equal = equal && actual.equals(expected) && actual.canary_intact();
  }
  return equal;
}

template <class Row>
void check(const Row& row, const DwconvCase& shape, Rng& rng) {
  const Window& w = shape.window;
  INFO(std::string(row.name) << " window " << w.kernel_h << "x" << w.kernel_w << " stride " << w.stride_h << "x"
                             << w.stride_w << " dilation " << w.dilation_h << "x" << w.dilation_w << " out "
                             << shape.out_h << "x" << shape.out_w << " pads " << shape.pads.top << " "
                             << shape.pads.left << " " << shape.pads.bottom << " " << shape.pads.right);
  CHECK(equals_ref(row, shape, rng));
}

constexpr Window kWindows[] = {
    {.kernel_h = 3, .kernel_w = 3},
    {.kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2},
    {.kernel_h = 5, .kernel_w = 5},
    {.kernel_h = 5, .kernel_w = 5, .stride_h = 2, .stride_w = 2},
    {.kernel_h = 7, .kernel_w = 7},
    {.kernel_h = 1, .kernel_w = 1},
    {.kernel_h = 1, .kernel_w = 9},
    {.kernel_h = 9, .kernel_w = 1},
    {.kernel_h = 2, .kernel_w = 4, .stride_h = 1, .stride_w = 2},
    {.kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 1},
    {.kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 2},
    {.kernel_h = 3, .kernel_w = 3, .stride_h = 3, .stride_w = 3},
    {.kernel_h = 3, .kernel_w = 3, .dilation_h = 2, .dilation_w = 2},
    {.kernel_h = 3, .kernel_w = 3, .stride_h = 2, .stride_w = 2, .dilation_h = 1, .dilation_w = 3},
    {.kernel_h = 3, .kernel_w = 3, .stride_h = 1, .stride_w = 1, .dilation_h = 2, .dilation_w = 1},
    {.kernel_h = 10, .kernel_w = 4, .stride_h = 2, .stride_w = 2},
    {.kernel_h = 2, .kernel_w = 6, .stride_h = 4, .stride_w = 4},
    {.kernel_h = 2, .kernel_w = 6, .stride_h = 1, .stride_w = 1, .dilation_h = 3, .dilation_w = 4},
    {.kernel_h = 2, .kernel_w = 3, .stride_h = 1, .stride_w = 5},
    {.kernel_h = 3, .kernel_w = 2, .stride_h = 2, .stride_w = 3, .dilation_h = 5, .dilation_w = 7},
};

TEST_CASE("qs8_dwconv equals ref for every window") {
  Rng rng(1);
  for (const auto& row : runnable_rows<QS8DwconvFn>()) {
    for (const Window& window : kWindows) {
      for (const std::int32_t out_h : {1, 2, 3, 5, 8}) {
        for (const std::int32_t out_w : {1, 2, 3, 4, 5, 7, 8, 9, 14, 15, 16, 17, 28, 33, 56}) {
          check(row, {.window = window, .out_h = out_h, .out_w = out_w}, rng);
        }
      }
    }
  }
}

// Padding smaller than the window on each side, as the operator checks it; negative: input that no tap reaches.
std::vector<Padding> paddings_of(const Window& w) {
  const std::int32_t h = (w.kernel_h - 1) * w.dilation_h;
  const std::int32_t x = (w.kernel_w - 1) * w.dilation_w;
  return {{h / 2, x / 2, h - h / 2, x - x / 2}, {h, x, h, x}, {0, x, h, 0}, {h / 2, 0, -2, -3}};
}

TEST_CASE("qs8_dwconv reads the zero point outside the plane") {
  Rng rng(3);
  for (const auto& row : runnable_rows<QS8DwconvFn>()) {
    for (const Window& window : kWindows) {
      for (const Padding& pads : paddings_of(window)) {
        for (const std::int32_t out_h : {1, 2, 7}) {
          for (const std::int32_t out_w : {1, 3, 7, 8, 14, 17, 28, 37, 64}) {
            check(row, {.window = window, .out_h = out_h, .out_w = out_w, .pads = pads, .planes = out_w % 3 + 1}, rng);
          }
        }
      }
    }
  }
}

TEST_CASE("qs8_dwconv equals ref at extremes, on ties and for every output range") {
  Rng rng(2);
  for (const auto& row : runnable_rows<QS8DwconvFn>()) {
    for (const Window& window : {kWindows[0], kWindows[1], kWindows[2], kWindows[12]}) {
      for (const OutputRange& range : output_ranges()) {
        for (const Multiplier kind : kMultipliers) {
          for (const Pattern inputs : kPatterns) {
            for (const Pattern weights : kPatterns) {
              check(row,
                    {.window = window,
                     .out_h = 3,
                     .out_w = 21,
                     .inputs = inputs,
                     .weights = weights,
                     .multiplier = kind,
                     .range = range},
                    rng);
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace edgeml::test
