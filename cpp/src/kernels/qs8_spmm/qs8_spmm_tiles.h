// SPDX-License-Identifier: Apache-2.0
// The walk of a qs8_spmm kernel over the tiles of its call, and the index packs with which the kernels unroll.
#pragma once

#include <cstdint>
#include <utility>

#include "kernels/qs8_spmm/qs8_spmm.h"

namespace edgeml::kernels {

template <int... kI>
using SpmmIndices = std::integer_sequence<int, kI...>;
template <int kN>
using SpmmMakeIndices = std::make_integer_sequence<int, kN>;

// All planes of the call for some vectors of pixels, the first of which begins at the last argument.
template <class Store>
using SpmmTile = void (*)(const QS8SpmmArgs&, const Store&, std::int32_t);

// Tiles of equal width, give or take one vector, all planes of each: its words stay in the first-level cache.
// tiles[i] is i + 1 vectors wide.
template <std::int32_t kVectorPixels, class Store, int kMost>
static inline void walk_tiles(const QS8SpmmArgs& args, const Store& store, const SpmmTile<Store> (&tiles)[kMost]) {
  const std::int32_t vectors = (args.pixel_end - args.pixel_begin + kVectorPixels - 1) / kVectorPixels;
  const std::int32_t count = (vectors + kMost - 1) / kMost;
  std::int32_t pixel = args.pixel_begin;
  for (std::int32_t t = 0; t < count; ++t) {
    const std::int32_t width = vectors / count + (t < vectors % count ? 1 : 0);
    tiles[width - 1](args, store, pixel);
    pixel += width * kVectorPixels;
  }
}

}  // namespace edgeml::kernels
