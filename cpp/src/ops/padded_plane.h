// SPDX-License-Identifier: Apache-2.0
// A plane of 4 channels copied with explicit padding, so that kernels need no test for the border (ADR 0002).
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "ops/window.h"

namespace edgeml {

// Fills `words` words with the stored zero point.
inline void fill_words(kernels::act_t* out, std::int64_t words, std::int32_t stored_zero_point) {
  std::memset(out, stored_zero_point & 0xff, static_cast<std::size_t>(words) * 4);
}

// One row of words. Short rows are the common case and not worth a call: 4 words at a time, the last 4 overlapping.
inline void copy_words(const kernels::act_t* in, std::int64_t words, kernels::act_t* out) {
  constexpr std::int64_t kQuad = 4;
  constexpr std::int64_t kLong = 64;
  if (words < kQuad || words > kLong) {
    std::memcpy(out, in, static_cast<std::size_t>(words) * 4);
    return;
  }
  for (std::int64_t i = 0; i + kQuad <= words; i += kQuad) std::memcpy(out + i * 4, in + i * 4, kQuad * 4);
  std::memcpy(out + (words - kQuad) * 4, in + (words - kQuad) * 4, kQuad * 4);
}

// Columns of the padded plane that hold input: [left, left + inside).
struct PaddedColumns {
  std::int32_t left, inside;
  explicit PaddedColumns(const Window& w)
      : left(std::min(w.pad_left, w.reach_w())), inside(std::max(0, std::min(w.in_w, w.reach_w() - left))) {}
};

// The padding of a plane of reach_h x reach_w words, rows dense. It is the same for every plane of a tensor.
inline void fill_padding(const Window& w, std::int32_t stored_zero_point, kernels::act_t* out) {
  const PaddedColumns columns(w);
  const std::int32_t width = w.reach_w();
  for (std::int32_t y = 0; y < w.reach_h(); ++y, out += std::int64_t{width} * 4) {
    const std::int32_t source = y - w.pad_top;
    if (source < 0 || source >= w.in_h) {
      fill_words(out, width, stored_zero_point);
    } else {
      fill_words(out, columns.left, stored_zero_point);
      const std::int32_t right = columns.left + columns.inside;
      fill_words(out + std::int64_t{right} * 4, width - right, stored_zero_point);
    }
  }
}

// in: dense plane of in_h x in_w words. out: a plane whose padding is there already.
inline void copy_inside(const kernels::act_t* in, const Window& w, kernels::act_t* out) {
  const PaddedColumns columns(w);
  const std::int64_t row_step = std::int64_t{w.reach_w()} * 4;
  const std::int32_t rows = std::min(w.in_h, w.reach_h() - w.pad_top);
  out += w.pad_top * row_step + std::int64_t{columns.left} * 4;
  for (std::int32_t y = 0; y < rows; ++y, out += row_step, in += std::int64_t{w.in_w} * 4) {
    copy_words(in, columns.inside, out);
  }
}

}  // namespace edgeml
