// SPDX-License-Identifier: Apache-2.0
// Every qs8_gemm row that this machine runs equals ref, byte for byte, and touches nothing but what qs8_gemm.h
// describes.
#include "kernels/qs8_gemm/qs8_gemm.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/pack_weights.h"
#include "support/guarded_buffer.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

// How results stand in memory: planes of words (C4P), or the channels of a pixel side by side (fully connected layers).
enum class OutLayout { planes, planes_apart, rows, rows_apart };

struct GemmCase {
  std::int32_t pixels, channels, k_groups;
  std::int32_t out_w = 1 << 20;  // pixels in one row of the output
  std::int32_t col_words = 1;    // stride in words
  std::int32_t group_words = 0;  // distance of depth words; 0 = just after the pixels of the plane
  OutLayout out_layout = OutLayout::planes;
  Pattern inputs = Pattern::random;
  Pattern weights = Pattern::random;
  Multiplier multiplier = Multiplier::spread;
  OutputRange range = output_range(-128, 127, 0);
  bool full_range_weights = false;
};

struct OutShape {
  std::int64_t plane_step, pixel_step, bytes;
};

OutShape out_shape(const GemmCase& c) {
  const std::int64_t planes = (c.channels + 3) / 4;
  const std::int64_t apart = c.out_layout == OutLayout::planes_apart || c.out_layout == OutLayout::rows_apart ? 12 : 0;
  const bool rows = c.out_layout == OutLayout::rows || c.out_layout == OutLayout::rows_apart;
  const std::int64_t plane_step = rows ? 4 : c.pixels * std::int64_t{4} + apart;
  const std::int64_t pixel_step = rows ? planes * 4 + apart : 4;
  return {plane_step, pixel_step, (planes - 1) * plane_step + (c.pixels - 1) * pixel_step + 4};
}

// One problem, its operands in guarded memory, to be run by different kernels.
class GemmProblem {
 public:
  GemmProblem(const GemmCase& shape, Edge edge, Rng& rng)
      : case_(shape),
        edge_(edge),
        out_(out_shape(shape)),
        group_offset_(shape.k_groups, edge),
        in_(in_bytes(), edge),
        weights_(static_cast<std::size_t>(shape.channels) * shape.k_groups * 4),
        bias_(shape.channels),
        multiplier_(shape.channels) {
    fill_activations(in_.span(), shape.inputs, rng);
    fill<std::int8_t>(weights_, shape.weights, shape.full_range_weights ? -128 : -127, 127, rng);
    const float typical = 5000.0F * std::sqrt(static_cast<float>(shape.k_groups) * 4.0F);
    for (std::int32_t n = 0; n < shape.channels; ++n) {
      bias_[n] = std::uniform_int_distribution<std::int32_t>(-20000, 20000)(rng);
      multiplier_[n] = multiplier(shape.multiplier, typical, rng);
    }
    for (std::int32_t g = 0; g < shape.k_groups; ++g) group_offset_[g] = g * group_step();
  }

  std::int32_t panels(std::int32_t nr) const { return (case_.channels + nr - 1) / nr; }

  // Runs the row over the given pixels and panels; the rest of out keeps what it held.
  template <class Row>
  void run(const Row& row, GuardedBuffer<act_t>& out, std::int32_t pixel_begin, std::int32_t pixel_end,
           std::int32_t panel_begin, std::int32_t panel_end) {
    const std::size_t padded = static_cast<std::size_t>(panels(row.nr)) * row.nr;
    GuardedBuffer<std::int8_t> weights(qs8_gemm_packed_bytes(case_.channels, case_.k_groups, row.nr, row.kr), edge_);
    qs8_gemm_pack(weights_.data(), case_.channels, 1, case_.k_groups * 4, row.nr, row.kr, weights.data());
    GuardedBuffer<std::int32_t> bias(padded, edge_);
    GuardedBuffer<float> multiplier(padded, edge_);
    for (std::size_t n = 0; n < padded; ++n) {
      bias[n] = n < bias_.size() ? bias_[n] : 0;
      multiplier[n] = n < multiplier_.size() ? multiplier_[n] : 0.0F;
    }
    const std::int64_t scratch = (qs8_gemm_workspace_bytes(row.mr, row.nr, row.kr, case_.k_groups) + 63) / 64 * 64;
    GuardedBuffer<std::uint8_t> workspace(scratch, edge_);
    row.fn({.in = in_.data(),
            .group_offset = group_offset_.data(),
            .k_groups = case_.k_groups,
            .out_w = case_.out_w,
            .in_row_step = row_step(),
            .in_col_step = case_.col_words * 4,
            .weights = weights.data(),
            .bias = bias.data(),
            .multiplier = multiplier.data(),
            .channels = case_.channels,
            .out = out.data(),
            .out_plane_step = out_.plane_step,
            .out_pixel_step = out_.pixel_step,
            .range = case_.range,
            .pixel_begin = pixel_begin,
            .pixel_end = pixel_end,
            .panel_begin = panel_begin,
            .panel_end = panel_end,
            .workspace = workspace.data(),
            .full_range_weights = case_.full_range_weights});
    clear_absent_channels(out);
  }

  std::size_t out_bytes() const { return static_cast<std::size_t>(out_.bytes); }
  Edge edge() const { return edge_; }

 private:
  std::int32_t rows() const { return (case_.pixels + case_.out_w - 1) / case_.out_w; }
  std::int32_t row_words() const { return std::min(case_.pixels, case_.out_w) * case_.col_words + 3; }
  std::int32_t row_step() const { return row_words() * 4; }
  std::int32_t group_step() const { return case_.group_words > 0 ? case_.group_words * 4 : rows() * row_step() + 4; }

  // Up to the last word that a pixel needs and not a byte more.
  std::size_t in_bytes() const {
    std::int64_t end = 0;
    for (std::int32_t p = 0; p < case_.pixels; ++p) {
      const std::int64_t word =
          std::int64_t{p / case_.out_w} * row_step() + std::int64_t{p % case_.out_w} * case_.col_words * 4;
      end = std::max(end, word + (case_.k_groups - 1) * std::int64_t{group_step()} + 4);
    }
    return static_cast<std::size_t>(end);
  }

  // The contract leaves the bytes of absent channels open.
  void clear_absent_channels(GuardedBuffer<act_t>& out) const {
    if (case_.channels % 4 == 0) return;
    for (std::int32_t p = 0; p < case_.pixels; ++p) {
      for (std::int32_t i = case_.channels % 4; i < 4; ++i) {
        out[(case_.channels / 4) * out_.plane_step + p * out_.pixel_step + i] = 0;
      }
    }
  }

  GemmCase case_;
  Edge edge_;
  OutShape out_;
  GuardedBuffer<std::int32_t> group_offset_;
  GuardedBuffer<act_t> in_;
  std::vector<std::int8_t> weights_;
  std::vector<std::int32_t> bias_;
  std::vector<float> multiplier_;
};

template <class Row>
bool equals_ref(const Row& row, const GemmCase& shape, Rng& rng) {
  bool equal = true;
  for (const Edge edge : kEdges) {
    GemmProblem problem(shape, edge, rng);
    GuardedBuffer<act_t> expected(problem.out_bytes(), edge);
    GuardedBuffer<act_t> actual(problem.out_bytes(), edge);
    const auto& ref = ref_row<QS8GemmFn>();
    problem.run(ref, expected, 0, shape.pixels, 0, problem.panels(ref.nr));
    problem.run(row, actual, 0, shape.pixels, 0, problem.panels(row.nr));
    equal = equal && actual.equals(expected) && actual.canary_intact();
  }
  return equal;
}

template <class Row>
void check(const Row& row, const GemmCase& shape, Rng& rng) {
  INFO(std::string(row.name) << " pixels " << shape.pixels << " channels " << shape.channels << " k_groups "
                             << shape.k_groups << " out_w " << shape.out_w << " col_words " << shape.col_words
                             << " layout " << static_cast<int>(shape.out_layout));
  CHECK(equals_ref(row, shape, rng));
}

// 1..limit, thinned: every value near a multiple of step and of 4, some between.
std::vector<std::int32_t> sizes(std::int32_t step, std::int32_t limit) {
  std::vector<std::int32_t> values;
  for (std::int32_t v = 1; v <= limit; ++v) {
    const std::int32_t to_multiple = std::min(v % step, step - v % step);
    if (v <= 5 || to_multiple <= 1 || v == limit || v % 11 == 0) values.push_back(v);
  }
  return values;
}

TEST_CASE("qs8_gemm equals ref for small sizes") {
  Rng rng(1);
  for (const auto& row : runnable_rows<QS8GemmFn>()) {
    for (const std::int32_t pixels : sizes(row.mr, 2 * row.mr + 1)) {
      for (const std::int32_t channels : sizes(row.nr / 2, 2 * row.nr + 1)) {
        for (const std::int32_t k_groups : {1, 2, 3, 5, 8}) {
          check(row, {.pixels = pixels, .channels = channels, .k_groups = k_groups}, rng);
        }
      }
    }
  }
}

TEST_CASE("qs8_gemm equals ref for every pixel count up to five tiles and for deep sums") {
  Rng rng(2);
  for (const auto& row : runnable_rows<QS8GemmFn>()) {
    for (std::int32_t pixels = 1; pixels <= 5 * row.mr + 1; ++pixels) {
      check(row, {.pixels = pixels, .channels = row.nr + 8, .k_groups = 7}, rng);
    }
    for (const std::int32_t k_groups : {16, 31, 64, 65, 257}) {
      check(row, {.pixels = row.mr + 1, .channels = row.nr, .k_groups = k_groups}, rng);
      check(row, {.pixels = 1, .channels = 5 * row.nr - 3, .k_groups = k_groups}, rng);
    }
  }
}

TEST_CASE("qs8_gemm equals ref for weights down to -128, as activations in the place of weights have") {
  Rng rng(7);
  for (const auto& row : runnable_rows<QS8GemmFn>()) {
    for (const Pattern inputs : kPatterns) {
      for (const Pattern weights : kPatterns) {
        for (const std::int32_t pixels : {1, row.mr + 1}) {
          for (const std::int32_t k_groups : {1, 4, 9, 64}) {
            check(row,
                  {.pixels = pixels,
                   .channels = row.nr + 3,
                   .k_groups = k_groups,
                   .inputs = inputs,
                   .weights = weights,
                   .full_range_weights = true},
                  rng);
          }
        }
      }
    }
  }
}

TEST_CASE("qs8_gemm reads strided pixels of several rows and overlapping depth words") {
  Rng rng(3);
  for (const auto& row : runnable_rows<QS8GemmFn>()) {
    for (const std::int32_t out_w : {1, 3, 7, row.mr, row.mr + 1}) {
      for (const std::int32_t col_words : {1, 2, 3}) {
        for (const std::int32_t group_words : {0, 1, 5}) {
          for (const auto layout :
               {OutLayout::planes, OutLayout::planes_apart, OutLayout::rows, OutLayout::rows_apart}) {
            check(row,
                  {.pixels = 2 * row.mr + 3,
                   .channels = row.nr + 6,
                   .k_groups = 6,
                   .out_w = out_w,
                   .col_words = col_words,
                   .group_words = group_words,
                   .out_layout = layout},
                  rng);
          }
        }
      }
    }
  }
}

TEST_CASE("qs8_gemm equals ref at extremes, on ties and for every output range") {
  Rng rng(4);
  for (const auto& row : runnable_rows<QS8GemmFn>()) {
    for (const OutputRange& range : output_ranges()) {
      for (const Multiplier kind : kMultipliers) {
        for (const Pattern inputs : kPatterns) {
          for (const Pattern weights : kPatterns) {
            check(row,
                  {.pixels = row.mr + 2,
                   .channels = row.nr + 4,
                   .k_groups = 9,
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

TEST_CASE("qs8_gemm computes only the pixels and panels of the call") {
  Rng rng(5);
  for (const auto& row : runnable_rows<QS8GemmFn>()) {
    for (const auto layout : {OutLayout::planes, OutLayout::rows}) {
      const GemmCase shape{
          .pixels = 3 * row.mr + 1, .channels = 4 * row.nr, .k_groups = 4, .out_w = 5, .out_layout = layout};
      for (const Edge edge : kEdges) {
        GemmProblem problem(shape, edge, rng);
        GuardedBuffer<act_t> whole(problem.out_bytes(), edge);
        GuardedBuffer<act_t> pieces(problem.out_bytes(), edge);
        problem.run(row, whole, 0, shape.pixels, 0, 4);
        const std::int32_t cuts[] = {0, 1, row.mr + 2, 2 * row.mr, shape.pixels};
        for (int i = 0; i < 4; ++i) {
          for (std::int32_t panel = 0; panel < 4; ++panel) {
            // The pieces in a scrambled order: one that writes outside its part destroys another.
            const int j = (i * 3 + panel) % 4;
            problem.run(row, pieces, cuts[j], cuts[j + 1], panel, panel + 1);
          }
        }
        INFO(std::string(row.name) << " layout " << static_cast<int>(layout));
        CHECK(pieces.equals(whole));
      }
    }
  }
}

}  // namespace
}  // namespace edgeml::test
