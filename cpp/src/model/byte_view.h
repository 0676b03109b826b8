// SPDX-License-Identifier: Apache-2.0
// Little-endian fields at offsets that the caller has checked.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string_view>

#include "base/assert.h"

namespace edgeml {

static_assert(std::endian::native == std::endian::little, "artifact fields are read in place");

template <class T>
T load(std::span<const std::byte> bytes, std::int64_t offset) {
  EDGEML_ASSERT(offset >= 0 && static_cast<std::size_t>(offset) + sizeof(T) <= bytes.size());
  T value;
  std::memcpy(&value, bytes.data() + offset, sizeof(T));
  return value;
}

inline std::span<const std::byte> part(std::span<const std::byte> bytes, std::int64_t offset, std::int64_t size) {
  EDGEML_ASSERT(offset >= 0 && size >= 0 && static_cast<std::size_t>(offset + size) <= bytes.size());
  return bytes.subspan(static_cast<std::size_t>(offset), static_cast<std::size_t>(size));
}

inline bool all_zero(std::span<const std::byte> bytes) {
  return std::all_of(bytes.begin(), bytes.end(), [](std::byte b) { return b == std::byte{0}; });
}

inline std::string_view as_text(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace edgeml
