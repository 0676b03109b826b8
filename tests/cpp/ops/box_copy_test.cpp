// SPDX-License-Identifier: Apache-2.0
// Boxes between C4P activations equal moves of one element at a time, and nothing else of the output changes.
#include "ops/box_copy.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <random>
#include <vector>

#include "ops/strided_copy.h"
#include "support/guarded_buffer.h"

namespace edgeml {
namespace {

using kernels::act_t;
using Coordinates = std::array<std::int64_t, kTensorRankMax>;

Dims dims_of(const std::vector<std::int64_t>& sizes) {
  Dims dims;
  dims.rank = static_cast<std::int32_t>(sizes.size()) + 1;
  dims[0] = 1;
  for (std::int32_t axis = 1; axis < dims.rank; ++axis) dims[axis] = sizes[static_cast<std::size_t>(axis) - 1];
  return dims;
}

void check(const Dims& in, const Dims& out, const std::vector<BoxCopy::Axis>& axes, std::mt19937& random) {
  const Layout in_layout(in);
  const Layout out_layout(out);
  std::uniform_int_distribution<int> any(0, 255);
  test::GuardedBuffer<act_t> x(static_cast<std::size_t>(in_layout.sample_step), test::Edge::end);
  test::GuardedBuffer<act_t> y(static_cast<std::size_t>(out_layout.sample_step), test::Edge::end);
  for (std::int64_t i = 0; i < in_layout.sample_step; ++i) x.data()[i] = static_cast<act_t>(any(random));
  for (std::int64_t i = 0; i < out_layout.sample_step; ++i) y.data()[i] = static_cast<act_t>(any(random));
  std::vector<act_t> expected(y.data(), y.data() + out_layout.sample_step);
  Dims box;
  box.rank = out.rank;
  for (std::size_t i = 0; i < axes.size(); ++i) box[static_cast<std::int32_t>(i) + 1] = axes[i].count;
  for_each_element(box, [&](const Coordinates& at) {
    Coordinates from{};
    Coordinates to{};
    for (std::size_t i = 0; i < axes.size(); ++i) {
      from[static_cast<std::size_t>(axes[i].in_axis)] = axes[i].in_begin + at[i + 1] * axes[i].in_step;
      to[i + 1] = axes[i].out_begin + at[i + 1];
    }
    expected[static_cast<std::size_t>(byte_of(out_layout, out, to))] = x.data()[byte_of(in_layout, in, from)];
  });
  BoxCopy(in, out, axes).run(x.data(), y.data());
  std::int64_t wrong = 0;
  for_each_element(out, [&](const Coordinates& at) {
    const std::int64_t byte = byte_of(out_layout, out, at);
    wrong += y.data()[byte] == expected[static_cast<std::size_t>(byte)] ? 0 : 1;
  });
  CHECK(wrong == 0);
  CHECK(y.canary_intact());
}

TEST_CASE("boxes of any rank, order of axes, start and step") {
  std::mt19937 random(7);
  const auto pick = [&](std::int64_t low, std::int64_t high) {
    return std::uniform_int_distribution<std::int64_t>(low, high)(random);
  };
  for (int round = 0; round < 3000; ++round) {
    const auto rank = static_cast<std::size_t>(pick(1, 4));
    std::vector<std::int32_t> from(rank);
    for (std::size_t i = 0; i < rank; ++i) from[i] = static_cast<std::int32_t>(i) + 1;
    if (round % 2 == 0) std::shuffle(from.begin(), from.end(), random);
    std::vector<std::int64_t> in(rank);
    std::vector<std::int64_t> out(rank);
    std::vector<BoxCopy::Axis> axes;
    for (std::size_t i = 0; i < rank; ++i) {
      const bool whole = pick(0, 2) > 0;
      const std::int64_t unit = pick(0, 1) == 0 ? 1 : 4;  // whole words of channels, half of the time
      BoxCopy::Axis axis{pick(1, 4) * unit, from[i], 0, 1, 0};
      if (!whole) {
        axis.in_begin = pick(0, 2) * unit;
        axis.in_step = pick(1, 3);
        axis.out_begin = pick(0, 2) * unit;
      }
      axes.push_back(axis);
      const std::int64_t rest = whole ? 0 : pick(0, 3);
      in[static_cast<std::size_t>(from[i]) - 1] = axis.in_begin + (axis.count - 1) * axis.in_step + 1 + rest;
      out[i] = axis.out_begin + axis.count + (whole ? 0 : pick(0, 3));
    }
    check(dims_of(in), dims_of(out), axes, random);
  }
}

TEST_CASE("a sample without axes is one element") {
  std::mt19937 random(8);
  check(dims_of({}), dims_of({}), {}, random);
}

}  // namespace
}  // namespace edgeml
