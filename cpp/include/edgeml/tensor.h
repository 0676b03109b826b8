// SPDX-License-Identifier: Apache-2.0
// What a caller sees of a graph input or output.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace edgeml {

inline constexpr std::int32_t kTensorRankMax = 8;

// Values are those of the tensor record (artifact-format.md, section 4).
enum class DType : std::uint8_t {
  s8 = 1,
  f32 = 2,
  s32 = 3,
  u32 = 4,
  u8 = 5,
  s64 = 6,
  boolean = 7,  // one byte, 0 or 1
  f16 = 8,
  f64 = 9,
  s16 = 10,
  u16 = 11,
  u64 = 12
};

struct DTypeInfo {
  std::string_view name;  // numpy's
  std::int64_t bytes;
  bool is_float, is_signed;
};

inline constexpr std::array<DTypeInfo, 13> kDTypeInfos = {{{"unknown", 1, false, false},
                                                           {"int8", 1, false, true},
                                                           {"float32", 4, true, true},
                                                           {"int32", 4, false, true},
                                                           {"uint32", 4, false, false},
                                                           {"uint8", 1, false, false},
                                                           {"int64", 8, false, true},
                                                           {"bool", 1, false, false},
                                                           {"float16", 2, true, true},
                                                           {"float64", 8, true, true},
                                                           {"int16", 2, false, true},
                                                           {"uint16", 2, false, false},
                                                           {"uint64", 8, false, false}}};
inline constexpr std::uint8_t kDTypeMax = 12;

constexpr const DTypeInfo& dtype_info(DType dtype) { return kDTypeInfos[static_cast<std::size_t>(dtype)]; }
constexpr std::int64_t dtype_bytes(DType dtype) { return dtype_info(dtype).bytes; }
constexpr std::string_view dtype_name(DType dtype) { return dtype_info(dtype).name; }

// Dimensions beyond the rank are 0. Axis 0 of an activation is the batch where it is free (0 there) or where the
// activation is quantized; a plain activation of a graph without a free batch may have any dims, none included.
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

  // Number of elements of everything; a free batch counts as 1.
  std::int64_t elements() const {
    return rank == 0 || (*this)[0] == 0 ? elements_per_sample() : (*this)[0] * elements_per_sample();
  }
};

struct TensorInfo {
  std::string name;
  DType dtype = DType::f32;
  Dims dims;
  float scale = 0;  // 0 unless quantized: real = scale * (q - zero_point)
  std::int32_t zero_point = 0;
};

}  // namespace edgeml
