// SPDX-License-Identifier: Apache-2.0
// How an operator splits its work: tiles that any thread may take, in any order, because no tile reads what another
// writes.
#pragma once

#include <algorithm>
#include <cstdint>

#include "base/int_math.h"

namespace edgeml {

// The threads of a session as operators see them; runtime/thread_pool.h stands behind it.
struct Parallel {
  using Task = void (*)(void* context, std::int32_t index, std::int32_t thread);
  void (*parallel_for)(void* pool, std::int32_t count, Task task, void* context) noexcept;
  void* pool;
  std::int32_t threads;
};

// Work below which waking another thread costs more than it saves (about 10 us on one core).
inline constexpr std::int64_t kTileMacsMin = 1'000'000;
inline constexpr std::int64_t kTileBytesMin = 128 * 1024;
inline constexpr std::int32_t kTilesPerThread = 4;  // so that a thread that was late finds less to do, not nothing

// How many tiles to cut `units` indivisible pieces into, that together cost `work` in units of `work_min`.
inline std::int32_t tile_count(const Parallel& parallel, std::int64_t units, std::int64_t work, std::int64_t work_min) {
  if (parallel.threads == 1 || work < 2 * work_min) return 1;
  const std::int64_t most = std::int64_t{parallel.threads} * kTilesPerThread;
  return static_cast<std::int32_t>(std::max<std::int64_t>(1, std::min({units, work / work_min, most})));
}

// body(begin, end, thread) over [0, units), cut into `tiles` ranges of nearly equal length.
template <class Body>
void for_ranges(const Parallel& parallel, std::int64_t units, std::int32_t tiles, const Body& body) noexcept {
  if (tiles <= 1) {
    body(std::int64_t{0}, units, std::int32_t{0});
    return;
  }
  struct Context {
    const Body& body;
    std::int64_t units;
    std::int32_t tiles;
  } context{body, units, tiles};
  parallel.parallel_for(
      parallel.pool, tiles,
      [](void* opaque, std::int32_t index, std::int32_t thread) {
        const auto& c = *static_cast<const Context*>(opaque);
        c.body(c.units * index / c.tiles, c.units * (index + 1) / c.tiles, thread);
      },
      &context);
}

// Elementwise work on `bytes` bytes in pieces of whole cache lines: body(begin, end).
template <class Body>
void for_bytes(const Parallel& parallel, std::int64_t bytes, const Body& body) noexcept {
  const std::int64_t lines = ceil_div(bytes, 64);
  for_ranges(parallel, lines, tile_count(parallel, lines, bytes, kTileBytesMin),
             [&](std::int64_t begin, std::int64_t end, std::int32_t) { body(begin * 64, std::min(end * 64, bytes)); });
}

}  // namespace edgeml
