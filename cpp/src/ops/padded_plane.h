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

// in: dense plane of in_h x in_w words. out: reach_h x reach_w words, rows dense.
inline void copy_padded_plane(const kernels::act_t* in, const Window& w, std::int32_t stored_zero_point,
                              kernels::act_t* out) {
  const std::int32_t rows = w.reach_h();
  const std::int32_t width = w.reach_w();
  const std::int32_t left = std::min(w.pad_left, width);
  const std::int32_t inside = std::max(0, std::min(w.in_w, width - left));
  for (std::int32_t y = 0; y < rows; ++y, out += std::int64_t{width} * 4) {
    const std::int32_t source = y - w.pad_top;
    if (source < 0 || source >= w.in_h) {
      fill_words(out, width, stored_zero_point);
      continue;
    }
    fill_words(out, left, stored_zero_point);
    std::memcpy(out + std::int64_t{left} * 4, in + std::int64_t{source} * w.in_w * 4,
                static_cast<std::size_t>(inside) * 4);
    fill_words(out + std::int64_t{left + inside} * 4, width - left - inside, stored_zero_point);
  }
}

}  // namespace edgeml
