// SPDX-License-Identifier: Apache-2.0
// The numbers that a feature takes from one sample (docs/design/wire.md, section 1), as pure functions.
#pragma once

#include <cstdint>
#include <span>

namespace edgeml {

struct ChannelMoments {
  float mean;
  float std;  // of the population
};

// What the output features need of one sample of probabilities. All NaN if any element is NaN.
struct ClassScores {
  float best_class;  // index of the first largest element
  float confidence;  // the largest element
  float margin;      // the largest minus the second largest; NaN if there is one element only
};

// Sums in float64, in 8 lanes: element i goes to lane i mod 8, then ((0+4)+(2+6)) + ((1+5)+(3+7)). The order is part of
// the definition, so that every machine gets the same bits.
ChannelMoments channel_moments(std::span<const float> elements) noexcept;

// Share of the elements that are <= lo or >= hi.
float clipped_share(std::span<const float> elements, float lo, float hi) noexcept;

ClassScores class_scores(std::span<const float> probabilities) noexcept;

// -sum p ln p in nats, summed in order, 0 ln 0 = 0; NaN if an element is NaN or negative.
float entropy(std::span<const float> probabilities) noexcept;

}  // namespace edgeml
