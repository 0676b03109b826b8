// SPDX-License-Identifier: Apache-2.0
#include "noise/discrete_laplace.h"

namespace edgeml {
namespace {

constexpr std::uint64_t kStepsMax = std::uint64_t{1} << 22;  // steps * numerator <= 2^62

template <class Word, class Wide, class Next>
Word uniform_below_word(Word n, Next next) noexcept {
  constexpr int kBits = sizeof(Word) * 8;
  Wide product = Wide{next()} * n;
  if (static_cast<Word>(product) < n) {
    const Word reject_below = static_cast<Word>(-n) % n;  // 2^bits mod n
    while (static_cast<Word>(product) < reject_below) product = Wide{next()} * n;
  }
  return static_cast<Word>(product >> kBits);
}

__extension__ using Uint128 = unsigned __int128;

}  // namespace

std::uint64_t uniform_below(std::uint64_t n, ByteSource& source) noexcept {
  if (n == 1) return 0;
  if (n >> 32 == 0) {
    return uniform_below_word<std::uint32_t, std::uint64_t>(static_cast<std::uint32_t>(n),
                                                            [&] { return source.next_u32(); });
  }
  return uniform_below_word<std::uint64_t, Uint128>(n, [&] { return source.next_u64(); });
}

bool bernoulli_exp(std::uint64_t numerator, std::uint64_t denominator, ByteSource& source) noexcept {
  // Bernoulli(gamma / k) is Bernoulli(1 / k) and Bernoulli(gamma): no product to overflow.
  std::uint64_t k = 1;
  while (source.ok() && uniform_below(k, source) == 0 &&
         (numerator == denominator || uniform_below(denominator, source) < numerator)) {
    ++k;
  }
  return k % 2 == 1;
}

std::optional<std::int64_t> discrete_laplace(NoiseScale scale, ByteSource& source) noexcept {
  const std::uint64_t t = scale.numerator;
  while (source.ok()) {
    const std::uint64_t u = uniform_below(t, source);
    if (!bernoulli_exp(u, t, source)) continue;
    std::uint64_t steps = 0;
    while (bernoulli_exp(1, 1, source)) {
      if (++steps == kStepsMax || !source.ok()) return std::nullopt;
    }
    const auto magnitude = static_cast<std::int64_t>((u + t * steps) / scale.denominator);
    const bool negative = source.next_bit();
    if (negative && magnitude == 0) continue;  // zero would count twice
    if (source.ok()) return negative ? -magnitude : magnitude;
  }
  return std::nullopt;
}

}  // namespace edgeml
