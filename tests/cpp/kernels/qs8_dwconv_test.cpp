// SPDX-License-Identifier: Apache-2.0
// Every qs8_dwconv row that this machine runs equals ref, byte for byte, and reads no more than kDwconvReadSlack bytes
// past the last needed word.
#include "kernels/qs8_dwconv/qs8_dwconv.h"

#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "kernels/qs8_dwconv/qs8_dwconv_pack.h"
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

struct DwconvCase {
  Window window;
  std::int32_t out_h, out_w;
  Pattern inputs = Pattern::random;
  Pattern weights = Pattern::random;
  Multiplier multiplier = Multiplier::spread;
  OutputRange range = output_range(-128, 127, 0);
};

class DwconvProblem {
 public:
  DwconvProblem(const DwconvCase& shape, Edge edge, Rng& rng)
      : case_(shape), edge_(edge), in_(in_bytes(), edge), taps_(taps() * 4) {
    fill_activations(in_.span(), shape.inputs, rng);
    fill<std::int8_t>(taps_, shape.weights, -127, 127, rng);
    for (int c = 0; c < 4; ++c) {
      bias_[c] = std::uniform_int_distribution<std::int32_t>(-9000, 9000)(rng);
      multiplier_[c] = multiplier(shape.multiplier, 5000.0F * std::sqrt(static_cast<float>(taps())), rng);
    }
  }

  template <class Row>
  void run(const Row& row, GuardedBuffer<act_t>& out) {
    const Window& w = case_.window;
    GuardedBuffer<std::int8_t> weights(qs8_dwconv_packed_bytes(w.kernel_h, w.kernel_w, row.kr), edge_);
    qs8_dwconv_pack(taps_.data(), w.kernel_h, w.kernel_w, row.kr, weights.data());
    row.fn({.in = in_.data(),
            .in_row_step = row_step(),
            .out_h = case_.out_h,
            .out_w = case_.out_w,
            .kernel_h = w.kernel_h,
            .kernel_w = w.kernel_w,
            .stride_h = w.stride_h,
            .stride_w = w.stride_w,
            .dilation_h = w.dilation_h,
            .dilation_w = w.dilation_w,
            .weights = weights.data(),
            .bias = bias_,
            .multiplier = multiplier_,
            .out = out.data(),
            .range = case_.range});
  }

  std::size_t out_bytes() const { return static_cast<std::size_t>(case_.out_h) * case_.out_w * 4; }

 private:
  std::size_t taps() const { return static_cast<std::size_t>(case_.window.kernel_h) * case_.window.kernel_w; }
  std::int32_t needed_words() const {
    const Window& w = case_.window;
    return (case_.out_w - 1) * w.stride_w + (w.kernel_w - 1) * w.dilation_w + 1;
  }
  // Rows overlap the slack of the row above, as they do in a padded plane.
  std::int32_t row_step() const { return (needed_words() + 1) * 4; }
  std::size_t in_bytes() const {
    const Window& w = case_.window;
    const std::int32_t last_row = (case_.out_h - 1) * w.stride_h + (w.kernel_h - 1) * w.dilation_h;
    return static_cast<std::size_t>(last_row) * row_step() + needed_words() * 4 + kDwconvReadSlack;
  }

  DwconvCase case_;
  Edge edge_;
  GuardedBuffer<act_t> in_;
  std::vector<std::int8_t> taps_;
  std::int32_t bias_[4];
  float multiplier_[4];
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
                             << shape.out_h << "x" << shape.out_w);
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
