// SPDX-License-Identifier: Apache-2.0
// Where an activation's bytes stand in the arena: C4P, [sample][ceil(C/4)][plane of pixels][4 channels] (ADR 0002).
#pragma once

#include <cstdint>
#include <optional>

#include "base/int_math.h"
#include "model/model.h"

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

// Bytes that an activation takes in the arena: C4P for a quantized one; dense for a plain one, whose axis 0 counts by
// itself unless it is free. Null if they pass int64.
inline std::optional<std::int64_t> tensor_bytes_of(const Tensor& tensor, std::int64_t batch) {
  if (tensor.is_quantized()) return checked_mul(Layout(tensor.dims).sample_step, batch);
  const bool free = tensor.dims.rank > 0 && tensor.dims[0] == 0;
  const auto bytes = checked_mul(tensor.dims.elements() * dtype_bytes(tensor.dtype), free ? batch : 1);
  return bytes ? std::optional(round_up(*bytes, 64)) : std::nullopt;
}

}  // namespace edgeml
