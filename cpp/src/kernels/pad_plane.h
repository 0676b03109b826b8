// SPDX-License-Identifier: Apache-2.0
// A plane of 4 channels copied with explicit padding, for kernels that have no test for the border (ADR 0002).
// static inline for the reason given in requantize.h.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/activation.h"

namespace edgeml::kernels {

// How a dense plane of in_h x in_w words lies in a dense padded plane of out_h x out_w words; input beyond its lower
// right corner is left out.
struct PlanePadding {
  std::int32_t in_h, in_w;
  std::int32_t top, left;
  std::int32_t out_h, out_w;
};

// Fills `words` words with the stored zero point.
static inline void fill_words(act_t* out, std::int64_t words, std::int32_t stored_zero_point) {
  std::memset(out, stored_zero_point & 0xff, static_cast<std::size_t>(words) * 4);
}

// One row of words. Short rows are the common case and not worth a call: 4 words at a time, the last 4 overlapping.
static inline void copy_words(const act_t* in, std::int64_t words, act_t* out) {
  constexpr std::int64_t kQuad = 4;
  constexpr std::int64_t kLong = 64;
  if (words < kQuad || words > kLong) {
    std::memcpy(out, in, static_cast<std::size_t>(words) * 4);
    return;
  }
  for (std::int64_t i = 0; i + kQuad <= words; i += kQuad) std::memcpy(out + i * 4, in + i * 4, kQuad * 4);
  std::memcpy(out + (words - kQuad) * 4, in + (words - kQuad) * 4, kQuad * 4);
}

static inline std::int32_t first_inside_column(const PlanePadding& p) { return p.left < p.out_w ? p.left : p.out_w; }

static inline std::int32_t inside_columns(const PlanePadding& p) {
  const std::int32_t room = p.out_w - first_inside_column(p);
  return p.in_w < room ? p.in_w : room;
}

// The padding alone. It is the same for every plane of a tensor.
static inline void fill_padding(const PlanePadding& p, std::int32_t stored_zero_point, act_t* out) {
  const std::int32_t left = first_inside_column(p);
  const std::int32_t right = left + inside_columns(p);
  for (std::int32_t y = 0; y < p.out_h; ++y, out += std::int64_t{p.out_w} * 4) {
    if (y < p.top || y >= p.top + p.in_h) {
      fill_words(out, p.out_w, stored_zero_point);
    } else {
      fill_words(out, left, stored_zero_point);
      fill_words(out + std::int64_t{right} * 4, p.out_w - right, stored_zero_point);
    }
  }
}

// The input alone, into a plane whose padding is there already.
static inline void copy_inside(const act_t* in, const PlanePadding& p, act_t* out) {
  const std::int32_t room = p.out_h - p.top;
  const std::int32_t rows = p.in_h < room ? p.in_h : room;
  const std::int64_t row_step = std::int64_t{p.out_w} * 4;
  out += p.top * row_step + std::int64_t{first_inside_column(p)} * 4;
  for (std::int32_t y = 0; y < rows; ++y, out += row_step, in += std::int64_t{p.in_w} * 4) {
    copy_words(in, inside_columns(p), out);
  }
}

}  // namespace edgeml::kernels
