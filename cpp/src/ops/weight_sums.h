// SPDX-License-Identifier: Apache-2.0
// Sums over the int8 weights of one output channel. Loading a model reads every weight for them, so they go by vectors.
#pragma once

#include <cstdint>
#include <span>

namespace edgeml {

struct WeightSums {
  std::int64_t sum = 0;
  std::int64_t magnitude = 0;  // sum of absolute values
  bool has_minus_128 = false;
};

WeightSums weight_sums(std::span<const std::int8_t> weights) noexcept;

// Of weights[0], weights[step], ...; count of them.
WeightSums weight_sums(const std::int8_t* weights, std::int64_t count, std::int64_t step) noexcept;

}  // namespace edgeml
