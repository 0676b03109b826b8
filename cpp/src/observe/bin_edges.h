// SPDX-License-Identifier: Apache-2.0
// Values -> slots of one feature (docs/design/wire.md, section 1): a search without branches over integer keys.
//
// A float32 becomes an int32 of the same order: positive bits as they are, negative ones with the lower 31 bits
// flipped, -0 made equal to 0. Integers compare exactly for denormals whatever the floating-point mode of the thread
// is. With `below` = number of edges <= v the slot is 1 + below: slot 1 is v < e0, slot k + 2 is v > ek. The last bin
// includes ek, so the last edge is stored as its successor.
#pragma once

#include <bit>
#include <cstdint>
#include <limits>
#include <span>
#include <vector>

namespace edgeml {

constexpr std::int32_t kKeyOfInfinity = 0x7f800000;

// Monotone over all values but NaN.
constexpr std::int32_t float_key(float value) noexcept {
  const auto bits = std::bit_cast<std::int32_t>(value);
  const std::int32_t key = bits ^ ((bits >> 31) & 0x7fffffff);
  return key + static_cast<std::int32_t>(key == -1);  // -1 is -0, and of nothing else
}

constexpr bool is_nan(float value) noexcept {
  return (std::bit_cast<std::int32_t>(value) & 0x7fffffff) > kKeyOfInfinity;
}

class BinEdges {
 public:
  // At least 2 edges, finite, strictly ascending.
  explicit BinEdges(std::span<const float> edges) : bins_(static_cast<int>(edges.size()) - 1) {
    keys_.reserve(std::bit_ceil(edges.size() + 1));
    for (const float edge : edges) keys_.push_back(float_key(edge));
    keys_.back() += 1;
    // A power of two: every search takes the same steps, and kernels find whole groups. No value reaches the padding.
    keys_.resize(std::bit_ceil(edges.size() + 1), std::numeric_limits<std::int32_t>::max());
  }

  int bin_count() const noexcept { return bins_; }
  int slot_count() const noexcept { return bins_ + 3; }

  int slot(float value) const noexcept {
    const std::int32_t key = float_key(value);
    const std::int32_t* base = keys_.data();
    for (std::size_t step = keys_.size() / 2; step != 0; step /= 2) {
      // A mask: compilers turn a conditional into a jump, which is mispredicted every other time.
      base += step & (std::size_t{0} - static_cast<std::size_t>(base[step - 1] <= key));
    }
    const int below = static_cast<int>(base - keys_.data());
    return is_nan(value) ? 0 : 1 + below;
  }

  // Adds 1 to counts[slot(v)] for v = values[0], values[stride], ... (`count` of them).
  void count(const float* values, std::int64_t count, std::int64_t stride, std::int64_t* counts) const noexcept;

 private:
  int bins_;
  std::vector<std::int32_t> keys_;
};

}  // namespace edgeml
