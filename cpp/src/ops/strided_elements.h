// SPDX-License-Identifier: Apache-2.0
// Copies elements of 1, 2, 4 or 8 bytes between strided places.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace edgeml {

template <std::size_t kBytes>
void copy_elements_of(const std::byte* from, std::int64_t from_step, std::byte* to, std::int64_t to_step,
                      std::int64_t n) {
  constexpr auto kSize = static_cast<std::int64_t>(kBytes);
  for (std::int64_t i = 0; i < n; ++i) std::memcpy(to + i * to_step * kSize, from + i * from_step * kSize, kBytes);
}

// Steps in elements.
inline void copy_elements(std::int64_t bytes, const std::byte* from, std::int64_t from_step, std::byte* to,
                          std::int64_t to_step, std::int64_t n) {
  if (from_step == 1 && to_step == 1) {
    std::memcpy(to, from, static_cast<std::size_t>(n * bytes));
    return;
  }
  switch (bytes) {
    case 1:
      return copy_elements_of<1>(from, from_step, to, to_step, n);
    case 2:
      return copy_elements_of<2>(from, from_step, to, to_step, n);
    case 4:
      return copy_elements_of<4>(from, from_step, to, to_step, n);
    default:
      return copy_elements_of<8>(from, from_step, to, to_step, n);
  }
}

}  // namespace edgeml
