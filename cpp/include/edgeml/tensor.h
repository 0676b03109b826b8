// SPDX-License-Identifier: Apache-2.0
// What a caller sees of a graph input or output.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace edgeml {

inline constexpr std::int32_t kTensorRankMax = 8;

enum class DType : std::uint8_t { s8 = 1, f32 = 2, s32 = 3, u32 = 4 };

constexpr std::int64_t dtype_bytes(DType dtype) { return dtype == DType::s8 ? 1 : 4; }
constexpr std::string_view dtype_name(DType dtype) {
  switch (dtype) {
    case DType::s8:
      return "int8";
    case DType::f32:
      return "float32";
    case DType::s32:
      return "int32";
    case DType::u32:
      return "uint32";
  }
  return "unknown";
}

// Dimensions beyond the rank are 0. Axis 0 of a graph input or output is the batch; 0 there means free.
struct Dims {
  std::int32_t rank = 0;
  std::array<std::int64_t, kTensorRankMax> size{};

  std::int64_t operator[](std::int32_t axis) const { return size[static_cast<std::size_t>(axis)]; }
  std::int64_t& operator[](std::int32_t axis) { return size[static_cast<std::size_t>(axis)]; }
  bool operator==(const Dims&) const = default;

  // Number of elements of one batch item.
  std::int64_t elements_per_sample() const {
    std::int64_t n = 1;
    for (std::int32_t axis = 1; axis < rank; ++axis) n *= (*this)[axis];
    return n;
  }
};

struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  Dims dims;
  float scale = 0;  // 0 unless dtype is s8: real = scale * (q - zero_point)
  std::int32_t zero_point = 0;
};

}  // namespace edgeml
