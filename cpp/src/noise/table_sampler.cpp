// SPDX-License-Identifier: Apache-2.0
#include "noise/table_sampler.h"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "kernels/kernel_table.h"
#include "noise/unit_fraction.h"

namespace edgeml {
namespace {

constexpr std::int64_t kTailExponent = 43;  // exp(-43) < 2^-62: what lies behind the last outcome
constexpr std::int64_t kTailBound = 8;      // 2^-62 in units of 2^-65
constexpr std::int64_t kLaplaceExtraMax = 64;
constexpr std::int64_t kInnerRadix = 32;
constexpr std::size_t kDrawBlock = 64;  // draws: words and digits stay in the first cache

// Largest word of the outcomes whose probabilities sum to `share`: round(share * 2^64) - 1, as a signed word.
std::int64_t last_word(UnitFraction share) noexcept {
  const UnitFraction round = UnitFraction{1} << 63;
  const Uint128 words = (share >> 64) + static_cast<unsigned>((share & (round | (round - 1))) >= round);
  const auto last = static_cast<std::uint64_t>(words == 0 ? 0 : words - 1);
  return static_cast<std::int64_t>(last ^ (std::uint64_t{1} << 63));
}

TableSampler::Table table_of(std::vector<std::int64_t> last, std::int64_t weight, bool is_signed) {
  TableSampler::Table table{std::move(last), 0, weight, is_signed};
  table.outcomes = static_cast<std::int64_t>(table.last.size()) + 1;
  table.last.resize((table.last.size() + 7) / 8 * 8, std::numeric_limits<std::int64_t>::max());
  return table;
}

// The digits 0..radix-1 of weight W of a geometric number with ratio a = exp(-d / s): Pr[digit < r] is
// (1 - a^(r W)) / (1 - a^(radix W)), or for the leading digit, which takes all that lies behind it, 1 - a^(r W).
class GeometricDigit {
 public:
  GeometricDigit(NoiseScale scale, std::int64_t weight, std::int64_t radix, bool is_leading)
      : scale_(scale), weight_(weight), radix_(radix), is_leading_(is_leading) {
    whole_ = below(radix);
  }

  // Of the digits below r, 1 <= r < radix.
  UnitFraction share(std::int64_t r) const noexcept { return is_leading_ ? below(r) : quotient(below(r), whole_); }
  std::int64_t radix() const noexcept { return radix_; }

 private:
  UnitFraction below(std::int64_t r) const noexcept {
    const auto places = static_cast<std::uint64_t>(r * weight_);
    return one_minus_exp({Uint128{places} * scale_.denominator, scale_.numerator});
  }

  NoiseScale scale_;
  std::int64_t weight_;
  std::int64_t radix_;
  bool is_leading_;
  UnitFraction whole_;
};

TableSampler::Table unsigned_table(const GeometricDigit& digit, std::int64_t weight) {
  std::vector<std::int64_t> last;
  for (std::int64_t r = 1; r < digit.radix(); ++r) last.push_back(last_word(digit.share(r)));
  return table_of(std::move(last), weight, false);
}

// The lowest digit together with the sign: z >= 0 has probability 1 / (1 + a) and is geometric; -1 - z is too if z < 0.
TableSampler::Table signed_table(const GeometricDigit& digit, NoiseScale scale) {
  const UnitFraction a = exp_minus({scale.denominator, scale.numerator});
  const UnitFraction negative = quotient(a >> 1, (UnitFraction{1} << 127) + (a >> 1));
  const UnitFraction positive = ~negative;
  std::vector<std::int64_t> last;
  for (std::int64_t r = 1; r < digit.radix(); ++r) last.push_back(last_word(multiply(digit.share(r), positive)));
  last.push_back(last_word(positive));
  for (std::int64_t r = 1; r < digit.radix(); ++r) {
    last.push_back(last_word(positive + multiply(digit.share(r), negative)));
  }
  return table_of(std::move(last), 1, true);
}

// Magnitudes 0..range-1 hold all but exp(-kTailExponent) of a geometric number.
Uint128 laplace_range(NoiseScale scale) noexcept {
  return (Uint128{scale.numerator} * kTailExponent + scale.denominator - 1) / scale.denominator + 1;
}

std::int64_t ceil_quotient(Uint128 a, std::int64_t b) noexcept {
  return static_cast<std::int64_t>((a + static_cast<std::uint64_t>(b) - 1) / static_cast<std::uint64_t>(b));
}

// The smallest radix for which two digits, the lower one twice as long with its sign, cover `range`.
std::int64_t lowest_radix(Uint128 range) noexcept {
  std::int64_t radix = 1;
  while (radix < kInnerRadix && Uint128{2} * static_cast<std::uint64_t>(radix * radix) < range) ++radix;
  return radix;
}

}  // namespace

TableSampler::TableSampler(Sign sign, std::vector<Table> tables) : sign_(sign), tables_(std::move(tables)) {
  // Every entry is rounded by half a word and computed within 2^-80: each outcome is within 2^-64 of its probability,
  // and the distance is half their sum.
  variation_bound_ = kTailBound + 1;
  for (const Table& table : tables_) variation_bound_ += table.outcomes;
}

TableSampler TableSampler::discrete_laplace(NoiseScale scale) {
  const Uint128 range = laplace_range(scale);
  std::vector<Table> tables;
  std::int64_t weight = 1;
  for (bool is_leading = false; !is_leading;) {
    const std::int64_t left = ceil_quotient(range, weight);
    is_leading = left <= kLaplaceExtraMax;
    const std::int64_t radix = is_leading ? left : weight == 1 ? lowest_radix(range) : kInnerRadix;
    const GeometricDigit digit(scale, weight, radix, is_leading);
    tables.push_back(weight == 1 ? signed_table(digit, scale) : unsigned_table(digit, weight));
    weight *= radix;
  }
  return {Sign::in_table, std::move(tables)};
}

std::optional<TableSampler> TableSampler::discrete_gaussian(NoiseVariance variance) {
  constexpr int kHeadroom = 14;  // bits: the sum of kGaussianOutcomesMax weights, twice, stays below 1
  std::vector<UnitFraction> weights;
  UnitFraction total = 0;
  for (std::uint64_t m = 0;; ++m) {
    const Ratio x{Uint128{m} * m * variance.denominator, 2 * variance.numerator};
    if (x.numerator / x.denominator > static_cast<unsigned>(kTailExponent)) break;
    if (m == kGaussianOutcomesMax) return std::nullopt;
    weights.push_back((m == 0 ? ~UnitFraction{0} >> 1 : exp_minus(x)) >> kHeadroom);  // 0 has one sign, others two
    total += weights.back();
  }
  std::vector<std::int64_t> last;
  UnitFraction below = 0;
  for (std::size_t m = 0; m + 1 < weights.size(); ++m) {
    below += weights[m];
    last.push_back(last_word(quotient(below, total)));
  }
  return TableSampler(Sign::fair_bit, {table_of(std::move(last), 1, false)});
}

void TableSampler::draw(std::span<std::int64_t> out, ByteSource& source) const noexcept {
  const kernels::S64RankFn rank = kernels::machine_kernels().s64_rank.fn;
  std::int64_t words[kDrawBlock];
  std::int64_t digits[kDrawBlock];
  std::int64_t flips[kDrawBlock];
  while (!out.empty()) {
    const std::span<std::int64_t> block = out.first(std::min(out.size(), kDrawBlock));
    std::ranges::fill(block, 0);
    std::ranges::fill(flips, 0);
    for (const Table& table : tables_) {
      source.fill_words(words);
      rank({words, digits, kDrawBlock, table.last.data(), static_cast<std::int64_t>(table.last.size())});
      const std::int64_t half = table.is_signed ? table.outcomes / 2 : 0;
      for (std::size_t i = 0; i < block.size(); ++i) {
        const std::int64_t negative = half == 0 ? 0 : (half - 1 - digits[i]) >> 63;  // all bits or none
        flips[i] |= negative;
        block[i] += table.weight * (digits[i] - (half & negative));
      }
    }
    if (sign_ == Sign::fair_bit) {
      const std::uint64_t signs = source.next_u64();
      for (std::size_t i = 0; i < block.size(); ++i) {
        const std::int64_t negative = -static_cast<std::int64_t>((signs >> i) & 1);
        block[i] = (block[i] ^ negative) - negative;
      }
    } else {
      for (std::size_t i = 0; i < block.size(); ++i) block[i] ^= flips[i];
    }
    out = out.subspan(block.size());
  }
}

}  // namespace edgeml
