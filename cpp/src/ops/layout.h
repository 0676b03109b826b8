// SPDX-License-Identifier: Apache-2.0
// Where an activation's bytes stand in the arena: C4P, [sample][ceil(C/4)][plane of pixels][4 channels] (ADR 0002).
#pragma once

#include <cstdint>

#include "base/int_math.h"
#include "edgeml/tensor.h"

namespace edgeml {

// Bytes from one plane of 4 channels to the next. A stride of a multiple of 4096 would put all planes into the same
// sets of a first-level cache, so it gets one more line.
constexpr std::int64_t plane_step_of(std::int64_t pixels) {
  if (pixels == 1) return 4;
  const std::int64_t step = round_up(4 * pixels, 64);
  return step % 4096 == 0 ? step + 64 : step;
}

struct Layout {
  std::int64_t channels = 1, groups = 1, pixels = 1;  // of one sample; groups = ceil(channels / 4)
  std::int64_t plane_step = 4, sample_step = 64;      // bytes

  explicit constexpr Layout(const Dims& dims) {
    if (dims.rank >= 2) channels = dims[1];
    for (std::int32_t axis = 2; axis < dims.rank; ++axis) pixels *= dims[axis];
    groups = ceil_div(channels, 4);
    plane_step = plane_step_of(pixels);
    sample_step = round_up(groups * plane_step, 64);
  }

  // Byte of channel c, pixel p, from the start of its sample.
  constexpr std::int64_t byte_of(std::int64_t c, std::int64_t p) const { return c / 4 * plane_step + p * 4 + c % 4; }
  bool operator==(const Layout&) const = default;
};

// Bytes that one sample of an activation takes in the arena: C4P for s8, dense for f32.
constexpr std::int64_t sample_bytes_of(DType dtype, const Dims& dims) {
  return dtype == DType::s8 ? Layout(dims).sample_step : round_up(dims.elements_per_sample() * 4, 64);
}

}  // namespace edgeml
