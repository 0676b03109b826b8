// SPDX-License-Identifier: Apache-2.0
#include "noise/exact_bernoulli.h"

namespace edgeml {
namespace {

template <class Word, class Wide, class Next>
std::uint64_t uniform_below_word(std::uint64_t limit, Next next) noexcept {
  constexpr int kBits = sizeof(Word) * 8;
  const auto n = static_cast<Word>(limit);
  auto product = static_cast<Wide>(Wide{next()} * n);
  if (static_cast<Word>(product) < n) {
    const auto reject_below = static_cast<Word>(static_cast<Word>(-n) % n);  // 2^bits mod n
    while (static_cast<Word>(product) < reject_below) product = static_cast<Wide>(Wide{next()} * n);
  }
  return static_cast<std::uint64_t>(product >> kBits);
}

}  // namespace

std::uint64_t uniform_below(std::uint64_t n, ByteSource& source) noexcept {
  if (n == 1) return 0;
  if (n <= 1U << 5) return uniform_below_word<std::uint8_t, std::uint32_t>(n, [&] { return source.next_u8(); });
  if (n <= 1U << 12) return uniform_below_word<std::uint16_t, std::uint32_t>(n, [&] { return source.next_u16(); });
  if (n >> 32 == 0) return uniform_below_word<std::uint32_t, std::uint64_t>(n, [&] { return source.next_u32(); });
  return uniform_below_word<std::uint64_t, Uint128>(n, [&] { return source.next_u64(); });
}

}  // namespace edgeml
