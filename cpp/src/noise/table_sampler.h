// SPDX-License-Identifier: Apache-2.0
// Discrete Laplace and Gaussian noise in constant time: which instructions run and which addresses they touch depend
// on the scale, which is public, and not on what is drawn.
//
// A table holds the cumulative distribution of a few outcomes as multiples of 2^-64; a draw compares one uniform
// 64-bit word with all of its entries and counts. A Laplace magnitude is geometric, and the digits of a geometric
// number to mixed radices are independent, so that a few short tables cover every scale. Proof and error bound:
// python/edgeml/privacy/table_sampler.md.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/counts.h"
#include "noise/byte_source.h"

namespace edgeml {

// Outcomes of a discrete Gaussian's table: sigma up to about 430.
inline constexpr std::int64_t kGaussianOutcomesMax = 4096;

class TableSampler {
 public:
  // 1 <= numerator, denominator <= kNoiseScaleMax.
  static TableSampler discrete_laplace(NoiseScale scale);
  // Nothing if the table would pass kGaussianOutcomesMax. `variance` is_allowed() (discrete_gaussian.h).
  static std::optional<TableSampler> discrete_gaussian(NoiseVariance variance);

  // Fills `out` with independent draws. They are noise only if source.ok() afterwards.
  void draw(std::span<std::int64_t> out, ByteSource& source) const noexcept;

  // The total variation distance of a draw from the exact distribution is at most this times 2^-65.
  std::int64_t variation_bound() const noexcept { return variation_bound_; }

  // One digit of a magnitude. `last` are the largest words of each outcome but the last one, ascending, padded with
  // the largest word to a multiple of 8; a word w means outcome #{i : last[i] < w}.
  struct Table {
    std::vector<std::int64_t> last;
    std::int64_t outcomes = 1;
    std::int64_t weight = 1;  // of the digit
    bool is_signed = false;   // outcomes are (+, 0..n/2-1), (-, 0..n/2-1)
  };
  std::span<const Table> tables() const noexcept { return tables_; }

 private:
  enum class Sign {
    in_table,  // z = digits, with all bits flipped where the outcome is negative: -1 - digits
    fair_bit,  // z = digits or -digits
  };

  TableSampler(Sign sign, std::vector<Table> tables);

  Sign sign_;
  std::vector<Table> tables_;
  std::int64_t variation_bound_;
};

}  // namespace edgeml
