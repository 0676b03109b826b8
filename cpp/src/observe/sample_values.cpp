// SPDX-License-Identifier: Apache-2.0
#include "observe/sample_values.h"

#include <cmath>
#include <cstddef>
#include <limits>

#include "observe/bin_edges.h"

namespace edgeml {
namespace {

constexpr std::size_t kLanes = 8;

// Sum of term(element) in the lanes' order.
template <class Term>
double lane_sum(std::span<const float> elements, Term term) noexcept {
  double lanes[kLanes] = {};
  const std::size_t whole = elements.size() / kLanes * kLanes;
  for (std::size_t i = 0; i < whole; i += kLanes) {
    for (std::size_t lane = 0; lane < kLanes; ++lane) lanes[lane] += term(static_cast<double>(elements[i + lane]));
  }
  for (std::size_t i = whole; i < elements.size(); ++i) lanes[i - whole] += term(static_cast<double>(elements[i]));
  return ((lanes[0] + lanes[4]) + (lanes[2] + lanes[6])) + ((lanes[1] + lanes[5]) + (lanes[3] + lanes[7]));
}

}  // namespace

ChannelMoments channel_moments(std::span<const float> elements) noexcept {
  const auto count = static_cast<double>(elements.size());
  const double mean = lane_sum(elements, [](double x) { return x; }) / count;
  const double squares = lane_sum(elements, [mean](double x) { return (x - mean) * (x - mean); });
  return {static_cast<float>(mean), static_cast<float>(std::sqrt(squares / count))};
}

float clipped_share(std::span<const float> elements, float lo, float hi) noexcept {
  std::int64_t clipped = 0;
  for (const float x : elements) clipped += static_cast<std::int64_t>(x <= lo) | static_cast<std::int64_t>(x >= hi);
  return static_cast<float>(static_cast<double>(clipped) / static_cast<double>(elements.size()));
}

ClassScores class_scores(std::span<const float> probabilities) noexcept {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  float best = -std::numeric_limits<float>::infinity();
  float second = best;
  std::size_t best_class = 0;
  bool any_nan = false;
  for (std::size_t i = 0; i < probabilities.size(); ++i) {
    const float p = probabilities[i];
    any_nan |= is_nan(p);
    if (p > best) {
      second = best;
      best = p;
      best_class = i;
    } else if (p > second) {
      second = p;
    }
  }
  if (any_nan) return {kNan, kNan, kNan};
  return {static_cast<float>(best_class), best, probabilities.size() > 1 ? best - second : kNan};
}

float entropy(std::span<const float> probabilities) noexcept {
  double sum = 0;
  for (const float p : probabilities) {
    const auto x = static_cast<double>(p);
    sum += p == 0.0F ? 0.0 : x * std::log(x);
  }
  return static_cast<float>(0.0 - sum);
}

}  // namespace edgeml
