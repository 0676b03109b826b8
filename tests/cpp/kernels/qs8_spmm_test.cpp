// SPDX-License-Identifier: Apache-2.0
// Every qs8_spmm row that this machine runs equals ref, byte for byte, and touches nothing but what qs8_spmm.h
// describes; and ref equals the dense ref kernel with the zeros filled in.
#include "kernels/qs8_spmm/qs8_spmm.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <string>
#include <vector>

#include "kernels/pack_weights.h"
#include "kernels/qs8_spmm/qs8_spmm_pack.h"
#include "support/guarded_buffer.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

struct SpmmCase {
  std::int32_t pixels, planes, k_groups, block_rows;
  double density = 0.4;    // of blocks
  std::int32_t pitch = 0;  // 0: every pixel is an output; else pixels from row to row ...
  std::int32_t out_w = 0;  // ... of which so many are outputs
  Pattern inputs = Pattern::random;
  Pattern weights = Pattern::random;
  Multiplier multiplier = Multiplier::spread;
  OutputRange range = output_range(-128, 127, 0);
};

std::int32_t in_strips(std::int32_t pixels) {
  return (pixels + kSpmmStripPixels - 1) / kSpmmStripPixels * kSpmmStripPixels;
}

// One problem, its operands in guarded memory, to be run by different kernels.
class SpmmProblem {
 public:
  SpmmProblem(const SpmmCase& shape, Edge edge, Rng& rng)
      : case_(shape),
        edge_(edge),
        in_(static_cast<std::size_t>(shape.k_groups) * group_step(), edge),
        dense_(static_cast<std::size_t>(shape.planes) * 4 * shape.k_groups * 4),
        bias_(static_cast<std::size_t>(shape.planes) * 4, edge),
        multiplier_(static_cast<std::size_t>(shape.planes) * 4, edge) {
    fill_activations(in_.span(), shape.inputs, rng);
    fill<std::int8_t>(dense_, shape.weights, -127, 127, rng);
    drop_blocks(rng);
    const float typical = 5000.0F * std::sqrt(static_cast<float>(shape.k_groups) * 4.0F);
    for (std::int32_t n = 0; n < shape.planes * 4; ++n) {
      bias_[n] = std::uniform_int_distribution<std::int32_t>(-20000, 20000)(rng);
      multiplier_[n] = multiplier(shape.multiplier, typical, rng);
    }
    if (shape.pitch > 0) make_strips();
  }

  std::size_t out_bytes() const { return static_cast<std::size_t>(case_.planes) * plane_step(); }

  // Runs the row over the given pixels and planes; the rest of out keeps what it held.
  template <class Row>
  void run(const Row& row, GuardedBuffer<act_t>& out, std::int32_t pixel_begin, std::int32_t pixel_end,
           std::int32_t plane_begin, std::int32_t plane_end) const {
    const std::int32_t r = case_.block_rows;
    const std::int64_t block_bytes = qs8_spmm_block_bytes(r, row.kr);
    GuardedBuffer<std::int32_t> row_begin(row_begin_.size(), edge_);
    row_begin[0] = 0;
    for (std::size_t i = 1; i < row_begin_.size(); ++i) {
      row_begin[i] = row_begin[i - 1] + qs8_spmm_row_blocks(row_begin_[i] - row_begin_[i - 1], row.kr);
    }
    const auto count = static_cast<std::size_t>(row_begin[row_begin_.size() - 1]);
    GuardedBuffer<std::int8_t> weights(count * static_cast<std::size_t>(block_bytes), edge_);
    std::fill_n(weights.data(), weights.size(), std::int8_t{0});
    GuardedBuffer<std::int32_t> offset(count, edge_);
    for (std::size_t i = 0; i + 1 < row_begin_.size(); ++i) {
      const std::int32_t blocks = row_begin_[i + 1] - row_begin_[i];
      for (std::int32_t b = 0; b < row_begin[i + 1] - row_begin[i]; ++b) {
        const std::int32_t from = row_begin_[i] + std::min(b, blocks - 1);
        const std::int32_t to = row_begin[i] + b;
        offset[to] = offset_[from];
        if (b < blocks) qs8_spmm_pack(blocks_.data() + from * 4 * r, r, row.kr, weights.data() + to * block_bytes);
      }
    }
    GuardedBuffer<QS8SpmmStrip> strips(strips_.size(), edge_);
    std::copy(strips_.begin(), strips_.end(), strips.data());
    row.fn({.in = in_.data(),
            .row_begin = row_begin.data(),
            .offset = offset.data(),
            .weights = weights.data(),
            .bias = bias_.data(),
            .multiplier = multiplier_.data(),
            .block_rows = r,
            .out = out.data(),
            .out_plane_step = plane_step(),
            .range = case_.range,
            .strips = strips_.empty() ? nullptr : strips.data(),
            .pixel_begin = pixel_begin,
            .pixel_end = pixel_end,
            .plane_begin = plane_begin,
            .plane_end = plane_end});
    if (strips_.empty()) clear_beyond(out);
  }

  // The dense ref kernel on the same weights with their zeros; every pixel an output.
  void run_dense(GuardedBuffer<act_t>& out) const {
    const auto& row = ref_row<QS8GemmFn>();
    std::vector<std::int8_t> packed(
        static_cast<std::size_t>(qs8_gemm_packed_bytes(case_.planes * 4, case_.k_groups, row.nr, row.kr)));
    qs8_gemm_pack(dense_.data(), case_.planes * 4, 1, case_.k_groups * 4, row.nr, row.kr, packed.data());
    std::vector<std::int32_t> group_offset;
    for (std::int32_t g = 0; g < case_.k_groups; ++g)
      group_offset.push_back(g * static_cast<std::int32_t>(group_step()));
    row.fn({.in = in_.data(),
            .group_offset = group_offset.data(),
            .k_groups = case_.k_groups,
            .out_w = case_.pixels,
            .in_row_step = 0,
            .in_col_step = 4,
            .weights = packed.data(),
            .bias = bias_.data(),
            .multiplier = multiplier_.data(),
            .channels = case_.planes * 4,
            .out = out.data(),
            .out_plane_step = plane_step(),
            .out_pixel_step = 4,
            .range = case_.range,
            .pixel_begin = 0,
            .pixel_end = case_.pixels,
            .panel_begin = 0,
            .panel_end = case_.planes,
            .workspace = nullptr});
    clear_beyond(out);
  }

 private:
  std::int64_t group_step() const { return in_strips(case_.pixels) * std::int64_t{4}; }

  // With strips the plane ends with the last output, without them with the last strip.
  std::int64_t plane_step() const {
    if (case_.pitch == 0) return group_step();
    std::int64_t outputs = 0;
    for (std::int32_t p = 0; p < case_.pixels; ++p) outputs += p % case_.pitch < case_.out_w ? 1 : 0;
    return outputs * 4;
  }

  void drop_blocks(Rng& rng) {
    const std::int32_t r = case_.block_rows;
    const std::int64_t depth = std::int64_t{4} * case_.k_groups;
    std::bernoulli_distribution keeps(case_.density);
    row_begin_.push_back(0);
    for (std::int32_t row = 0; row < case_.planes * 4 / r; ++row) {
      for (std::int32_t g = 0; g < case_.k_groups; ++g) {
        const bool kept = keeps(rng);
        if (kept) offset_.push_back(g * static_cast<std::int32_t>(group_step()));
        for (std::int32_t i = 0; i < r; ++i) {
          std::int8_t* word = dense_.data() + (row * r + i) * depth + 4 * g;
          if (kept) blocks_.insert(blocks_.end(), word, word + 4);
          if (!kept) std::fill_n(word, 4, std::int8_t{0});
        }
      }
      row_begin_.push_back(static_cast<std::int32_t>(offset_.size()));
    }
  }

  void make_strips() {
    std::int32_t out = 0;
    for (std::int32_t first = 0; first < case_.pixels; first += kSpmmStripPixels) {
      QS8SpmmStrip strip{0, out};
      for (std::int32_t i = 0; i < kSpmmStripPixels && first + i < case_.pixels; ++i) {
        if ((first + i) % case_.pitch < case_.out_w) strip.outputs |= 1U << i;
      }
      out += __builtin_popcount(strip.outputs);
      strips_.push_back(strip);
    }
  }

  // What the contract leaves open: words of pixels beyond the last one.
  void clear_beyond(GuardedBuffer<act_t>& out) const {
    for (std::int32_t plane = 0; plane < case_.planes; ++plane) {
      for (std::int64_t at = case_.pixels * std::int64_t{4}; at < plane_step(); ++at)
        out[plane * plane_step() + at] = 0;
    }
  }

  SpmmCase case_;
  Edge edge_;
  GuardedBuffer<act_t> in_;
  std::vector<std::int8_t> dense_;  // [channels][depth]
  std::vector<std::int8_t> blocks_;
  std::vector<std::int32_t> row_begin_, offset_;
  std::vector<QS8SpmmStrip> strips_;
  GuardedBuffer<std::int32_t> bias_;
  GuardedBuffer<float> multiplier_;
};

template <class Row>
void check(const Row& row, const SpmmCase& shape, Rng& rng) {
  INFO(std::string(row.name) << " pixels " << shape.pixels << " planes " << shape.planes << " k_groups "
                             << shape.k_groups << " block_rows " << shape.block_rows << " pitch " << shape.pitch);
  bool equal = true;
  for (const Edge edge : kEdges) {
    const SpmmProblem problem(shape, edge, rng);
    GuardedBuffer<act_t> expected(problem.out_bytes(), edge);
    GuardedBuffer<act_t> actual(problem.out_bytes(), edge);
    problem.run(ref_row<QS8SpmmFn>(), expected, 0, shape.pixels, 0, shape.planes);
    problem.run(row, actual, 0, shape.pixels, 0, shape.planes);
    equal = equal && actual.equals(expected) && actual.canary_intact();
  }
  CHECK(equal);
}

constexpr std::int32_t kRowsOfBlocks[] = {1, 2, 4};

TEST_CASE("qs8_spmm ref is the dense ref with the zeros filled in") {
  Rng rng(1);
  for (const std::int32_t r : kRowsOfBlocks) {
    for (const std::int32_t pixels : {1, 5, 16, 33}) {
      for (const double density : {0.0, 0.3, 1.0}) {
        const SpmmProblem problem({.pixels = pixels, .planes = 3, .k_groups = 7, .block_rows = r, .density = density},
                                  kEdges[0], rng);
        GuardedBuffer<act_t> expected(problem.out_bytes(), kEdges[0]);
        GuardedBuffer<act_t> actual(problem.out_bytes(), kEdges[0]);
        problem.run_dense(expected);
        problem.run(ref_row<QS8SpmmFn>(), actual, 0, pixels, 0, 3);
        CHECK(actual.equals(expected));
      }
    }
  }
}

TEST_CASE("qs8_spmm equals ref for every pixel count up to nine strips") {
  Rng rng(2);
  for (const auto& row : runnable_rows<QS8SpmmFn>()) {
    for (const std::int32_t r : kRowsOfBlocks) {
      for (std::int32_t pixels = 1; pixels <= 9 * kSpmmStripPixels + 1; ++pixels) {
        check(row, {.pixels = pixels, .planes = 2, .k_groups = 5, .block_rows = r}, rng);
      }
    }
  }
}

TEST_CASE("qs8_spmm equals ref for every share of blocks and depth") {
  Rng rng(3);
  for (const auto& row : runnable_rows<QS8SpmmFn>()) {
    for (const std::int32_t r : kRowsOfBlocks) {
      for (const std::int32_t k_groups : {1, 2, 3, 4, 9, 64, 257}) {
        for (const double density : {0.0, 0.05, 0.5, 1.0}) {
          check(row, {.pixels = 37, .planes = 3, .k_groups = k_groups, .block_rows = r, .density = density}, rng);
        }
      }
    }
  }
}

TEST_CASE("qs8_spmm stores the outputs of every row pitch and nothing else") {
  Rng rng(4);
  for (const auto& row : runnable_rows<QS8SpmmFn>()) {
    for (const std::int32_t r : kRowsOfBlocks) {
      for (const std::int32_t pitch : {2, 3, 9, 16, 17, 30}) {
        for (const std::int32_t out_w : {1, pitch - 1, pitch}) {
          for (const std::int32_t rows : {1, 2, 7}) {
            const std::int32_t pixels = (rows - 1) * pitch + out_w;
            check(row, {.pixels = pixels, .planes = 2, .k_groups = 3, .block_rows = r, .pitch = pitch, .out_w = out_w},
                  rng);
          }
        }
      }
    }
  }
}

TEST_CASE("qs8_spmm equals ref for extreme operands, ties, bounds and large multipliers") {
  Rng rng(5);
  for (const auto& row : runnable_rows<QS8SpmmFn>()) {
    for (const std::int32_t r : kRowsOfBlocks) {
      for (const Pattern inputs : kPatterns) {
        for (const Pattern weights : kPatterns) {
          for (const Multiplier multiplier : kMultipliers) {
            for (const OutputRange& range : {output_range(-128, 127, 0), output_range(-17, 101, -17)}) {
              check(row,
                    {.pixels = 21,
                     .planes = 2,
                     .k_groups = 33,
                     .block_rows = r,
                     .inputs = inputs,
                     .weights = weights,
                     .multiplier = multiplier,
                     .range = range},
                    rng);
            }
          }
        }
      }
    }
  }
}

TEST_CASE("qs8_spmm computes any part of the output") {
  Rng rng(6);
  for (const auto& row : runnable_rows<QS8SpmmFn>()) {
    for (const std::int32_t r : kRowsOfBlocks) {
      for (const std::int32_t pitch : {0, 11}) {
        const SpmmCase shape{
            .pixels = 75, .planes = 5, .k_groups = 6, .block_rows = r, .pitch = pitch, .out_w = pitch - 2};
        const SpmmProblem problem(shape, kEdges[0], rng);
        GuardedBuffer<act_t> expected(problem.out_bytes(), kEdges[0]);
        GuardedBuffer<act_t> actual(problem.out_bytes(), kEdges[0]);
        problem.run(ref_row<QS8SpmmFn>(), expected, 0, 75, 0, 5);
        for (const auto& [begin, end] : {std::pair{0, 2}, std::pair{2, 5}}) {
          problem.run(row, actual, 0, 16, begin, end);
          problem.run(row, actual, 16, 64, begin, end);
          problem.run(row, actual, 64, 75, begin, end);
        }
        CHECK(actual.equals(expected));
      }
    }
  }
}

}  // namespace
}  // namespace edgeml::test
