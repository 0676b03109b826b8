// SPDX-License-Identifier: Apache-2.0
#include "ops/element_block.h"

#include <bit>
#include <cmath>

namespace edgeml {
namespace {

// A binary16 number in its 16 bits.
struct Half {
  std::uint16_t bits;
};

double to_f64(Half half) {
  const std::uint64_t sign = std::uint64_t{half.bits & 0x8000U} << 48;
  const std::uint32_t exponent = (half.bits >> 10) & 31U;
  const std::uint64_t mantissa = half.bits & 1023U;
  if (exponent == 0) {
    const double magnitude = static_cast<double>(mantissa) * 0x1p-24;
    return sign != 0 ? -magnitude : magnitude;
  }
  const std::uint64_t wide = exponent == 31 ? 2047 : std::uint64_t{exponent} + 1008;
  return std::bit_cast<double>(sign | wide << 52 | mantissa << 42);
}

// To nearest even, from 65520 on to infinity.
Half to_half(double value) {
  const auto bits = std::bit_cast<std::uint64_t>(value);
  const auto sign = static_cast<std::uint16_t>(bits >> 48 & 0x8000U);
  const double magnitude = std::fabs(value);
  if (std::isnan(value)) return {static_cast<std::uint16_t>(sign | 0x7e00U)};
  if (magnitude >= 65520.0) return {static_cast<std::uint16_t>(sign | 0x7c00U)};
  if (magnitude < 0x1p-14) {
    // Adding 2^28 leaves a unit of 2^-24 in the last place of the sum.
    const double shifted = magnitude + 0x1p28;
    return {static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>((shifted - 0x1p28) * 0x1p24))};
  }
  const std::uint64_t unsigned_bits = bits & ~(std::uint64_t{1} << 63);
  const std::uint64_t rounded = unsigned_bits + ((std::uint64_t{1} << 41) - 1) + (unsigned_bits >> 42 & 1U);
  return {static_cast<std::uint16_t>(sign | static_cast<std::uint16_t>((rounded >> 42) - (std::uint64_t{1008} << 10)))};
}

std::int64_t truncate(double value) {
  if (std::isnan(value)) return 0;
  if (value >= 0x1p63) return INT64_MAX;
  if (value < -0x1p63) return INT64_MIN;
  return static_cast<std::int64_t>(value);
}

template <class From, class To>
To convert(From value) {
  if constexpr (std::is_same_v<From, Half>) {
    return convert<double, To>(to_f64(value));
  } else if constexpr (std::is_floating_point_v<From> && !std::is_floating_point_v<To>) {
    return truncate(static_cast<double>(value));
  } else {
    return static_cast<To>(value);
  }
}

template <class From, class To>
void load(const std::byte* from, std::int64_t step, std::int64_t n, To* to) {
  const From* const values = reinterpret_cast<const From*>(from);
  if (step == 1) {
    for (std::int64_t i = 0; i < n; ++i) to[i] = convert<From, To>(values[i]);
  } else {
    for (std::int64_t i = 0; i < n; ++i) to[i] = convert<From, To>(values[i * step]);
  }
}

template <class From, class To>
void store(const From* from, std::int64_t n, std::byte* to) {
  To* const values = reinterpret_cast<To*>(to);
  for (std::int64_t i = 0; i < n; ++i) {
    if constexpr (std::is_same_v<To, Half>) {
      values[i] = to_half(static_cast<double>(from[i]));
    } else if constexpr (std::is_same_v<To, bool>) {
      values[i] = from[i] != 0;
    } else {
      values[i] = static_cast<To>(from[i]);
    }
  }
}

}  // namespace

template <class To>
static void load_any(DType dtype, const std::byte* from, std::int64_t step, std::int64_t n, To* to) {
  switch (dtype) {
    case DType::s8:
      return load<std::int8_t>(from, step, n, to);
    case DType::f32:
      return load<float>(from, step, n, to);
    case DType::s32:
      return load<std::int32_t>(from, step, n, to);
    case DType::u32:
      return load<std::uint32_t>(from, step, n, to);
    case DType::u8:
    case DType::boolean:
      return load<std::uint8_t>(from, step, n, to);
    case DType::s64:
      return load<std::int64_t>(from, step, n, to);
    case DType::f16:
      return load<Half>(from, step, n, to);
    case DType::f64:
      return load<double>(from, step, n, to);
    case DType::s16:
      return load<std::int16_t>(from, step, n, to);
    case DType::u16:
      return load<std::uint16_t>(from, step, n, to);
    case DType::u64:
      return load<std::uint64_t>(from, step, n, to);
  }
}

void load_f64(DType dtype, const std::byte* from, std::int64_t step, std::int64_t n, double* to) noexcept {
  load_any(dtype, from, step, n, to);
}

void load_s64(DType dtype, const std::byte* from, std::int64_t step, std::int64_t n, std::int64_t* to) noexcept {
  load_any(dtype, from, step, n, to);
}

void store_f64(DType dtype, const double* from, std::int64_t n, std::byte* to) noexcept {
  switch (dtype) {
    case DType::f32:
      return store<double, float>(from, n, to);
    case DType::f16:
      return store<double, Half>(from, n, to);
    case DType::f64:
      return store<double, double>(from, n, to);
    case DType::boolean:
      return store<double, bool>(from, n, to);
    default: {
      std::int64_t integers[kBlockElements];
      for (std::int64_t i = 0; i < n; ++i) integers[i] = truncate(from[i]);
      return store_s64(dtype, integers, n, to);
    }
  }
}

void store_s64(DType dtype, const std::int64_t* from, std::int64_t n, std::byte* to) noexcept {
  switch (dtype) {
    case DType::boolean:
      return store<std::int64_t, bool>(from, n, to);
    case DType::s8:
    case DType::u8:
      return store<std::int64_t, std::uint8_t>(from, n, to);
    case DType::s16:
    case DType::u16:
      return store<std::int64_t, std::uint16_t>(from, n, to);
    case DType::s32:
    case DType::u32:
      return store<std::int64_t, std::uint32_t>(from, n, to);
    case DType::s64:
    case DType::u64:
      return store<std::int64_t, std::uint64_t>(from, n, to);
    case DType::f32:
      return store<std::int64_t, float>(from, n, to);
    case DType::f16:
      return store<std::int64_t, Half>(from, n, to);
    case DType::f64:
      return store<std::int64_t, double>(from, n, to);
  }
}

}  // namespace edgeml
