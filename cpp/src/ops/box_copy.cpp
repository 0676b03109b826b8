// SPDX-License-Identifier: Apache-2.0
#include "ops/box_copy.h"

#include <algorithm>
#include <array>
#include <cstring>

namespace edgeml {
namespace {

using kernels::act_t;

// Bytes from one element to the next along an axis of pixels.
std::int64_t pixel_step(const Dims& dims, std::int32_t axis) {
  std::int64_t step = 4;
  for (std::int32_t inner = axis + 1; inner < dims.rank; ++inner) step *= dims[inner];
  return step;
}

// Channels whose words may be moved whole: the box holds all bytes of each, or the rest of the last word is nobody's.
bool takes_whole_words(const BoxCopy::Axis& channels, const Layout& out) {
  return channels.in_axis == 1 && channels.in_step == 1 && channels.in_begin % 4 == 0 && channels.out_begin % 4 == 0 &&
         (channels.count % 4 == 0 || channels.out_begin + channels.count == out.channels);
}

void move_words(const act_t* from, std::int64_t from_step, act_t* to, std::int64_t to_step, std::int64_t count) {
  if (from_step == 4 && to_step == 4) {
    std::memcpy(to, from, static_cast<std::size_t>(count) * 4);
    return;
  }
  for (std::int64_t i = 0; i < count; ++i) std::memcpy(to + i * to_step, from + i * from_step, 4);
}

}  // namespace

BoxCopy::BoxCopy(const Dims& in, const Dims& out, std::span<const Axis> axes) {
  const Layout in_layout(in);
  const Layout out_layout(out);
  words_ = !axes.empty() && takes_whole_words(axes[0], out_layout);
  for (std::size_t i = 0; i < axes.size(); ++i) {
    const Axis& axis = axes[i];
    const auto out_axis = static_cast<std::int32_t>(i) + 1;
    const auto steps = [&](const Dims& dims, const Layout& layout, std::int32_t which, std::int64_t begin,
                           std::int64_t step) -> Steps {
      if (which != 1) return {false, begin * pixel_step(dims, which), step * pixel_step(dims, which), 0};
      if (words_) return {false, begin / 4 * layout.plane_step, layout.plane_step, 0};
      return {true, begin, step, layout.plane_step};
    };
    const bool in_words = words_ && out_axis == 1;
    loops_.push_back({in_words ? ceil_div(axis.count, 4) : axis.count,
                      steps(in, in_layout, axis.in_axis, axis.in_begin, axis.in_step),
                      steps(out, out_layout, out_axis, axis.out_begin, 1)});
  }
  join_loops();
}

// Makes the innermost loop long: the last of a chain of axes without gaps, else the longest.
void BoxCopy::join_loops() {
  std::erase_if(loops_,
                [](const Loop& loop) { return loop.count == 1 && loop.in.offset(0) == 0 && loop.out.offset(0) == 0; });
  if (loops_.empty()) loops_.push_back({1, {false, 0, 0, 0}, {false, 0, 0, 0}});
  for (std::size_t i = loops_.size() - 1; i-- > 0;) {
    Loop& outer = loops_[i];
    const Loop& inner = loops_[i + 1];
    const auto follows = [&](const Steps& a, const Steps& b) {
      return !a.is_channel && !b.is_channel && a.step == b.step * inner.count;
    };
    if (!follows(outer.in, inner.in) || !follows(outer.out, inner.out)) continue;
    outer.count *= inner.count;
    outer.in = {false, outer.in.begin + inner.in.begin, inner.in.step, 0};
    outer.out = {false, outer.out.begin + inner.out.begin, inner.out.step, 0};
    loops_.erase(loops_.begin() + static_cast<std::ptrdiff_t>(i) + 1);
  }
  const Loop& last = loops_.back();
  if (words_ && last.in.step == 4 && last.out.step == 4) return;
  const auto longest =
      std::max_element(loops_.begin(), loops_.end(), [](const Loop& a, const Loop& b) { return a.count < b.count; });
  std::rotate(longest, longest + 1, loops_.end());
}

// move(from, to) for every position of the loops around the innermost one.
template <class Move>
void BoxCopy::for_rows(const act_t* x, act_t* y, const Move& move) const noexcept {
  const std::size_t outer = loops_.size() - 1;
  std::array<std::int64_t, kTensorRankMax> at{};
  while (true) {
    const act_t* from = x;
    act_t* to = y;
    for (std::size_t k = 0; k < outer; ++k) {
      from += loops_[k].in.offset(at[k]);
      to += loops_[k].out.offset(at[k]);
    }
    move(from, to);
    std::size_t k = outer;
    while (k-- > 0) {
      if (++at[k] < loops_[k].count) break;
      at[k] = 0;
    }
    if (k == static_cast<std::size_t>(-1)) return;
  }
}

void BoxCopy::run(const act_t* x, act_t* y) const noexcept {
  const Loop& row = loops_.back();
  if (words_) {
    for_rows(x, y, [&](const act_t* from, act_t* to) {
      move_words(from + row.in.begin, row.in.step, to + row.out.begin, row.out.step, row.count);
    });
    return;
  }
  if (!row.in.is_channel && !row.out.is_channel) {
    for_rows(x, y, [&](const act_t* from, act_t* to) {
      from += row.in.begin;
      to += row.out.begin;
      for (std::int64_t i = 0; i < row.count; ++i) to[i * row.out.step] = from[i * row.in.step];
    });
    return;
  }
  for_rows(x, y, [&](const act_t* from, act_t* to) {
    for (std::int64_t i = 0; i < row.count; ++i) to[row.out.offset(i)] = from[row.in.offset(i)];
  });
}

}  // namespace edgeml
