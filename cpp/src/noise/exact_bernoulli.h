// SPDX-License-Identifier: Apache-2.0
// Uniform integers and Bernoulli trials of exact probability: only integers are drawn and compared, nothing is rounded.
#pragma once

#include <cstdint>

#include "noise/byte_source.h"

namespace edgeml {

__extension__ using Uint128 = unsigned __int128;

// Uniform in [0, n), n >= 1: Lemire's multiplication with rejection, exact, on the narrowest word that seldom rejects.
std::uint64_t uniform_below(std::uint64_t n, ByteSource& source) noexcept;

// True with probability numerator / denominator, 0 <= numerator <= denominator <= 2^56 (Word of 64 bits), 2^120 (of
// 128). A uniform number in [0, 1) is compared with the fraction, base 256 digit by digit, until they differ.
template <class Word>
bool bernoulli(Word numerator, Word denominator, ByteSource& source) noexcept {
  if (numerator == denominator) return true;
  while (numerator != 0 && source.ok()) {
    numerator *= 256;
    const auto digit = static_cast<std::uint8_t>(numerator / denominator);
    numerator %= denominator;
    const std::uint8_t drawn = source.next_u8();
    if (drawn != digit) return drawn < digit;
  }
  return false;
}

// True with probability exp(-numerator / denominator), 0 <= numerator <= denominator <= 2^40 (64 bits) or 2^104 (128):
// Algorithm 1 of Canonne, Kamath, Steinke (2020).
template <class Word>
bool bernoulli_exp_below_one(Word numerator, Word denominator, ByteSource& source) noexcept {
  // Trial k succeeds with gamma / k. Trial 2^15 is reached with a probability below 1 / 2^15!, that is never.
  for (Word k = 1; k < (Word{1} << 15); ++k) {
    if (!bernoulli<Word>(numerator, denominator * k, source)) return k % 2 == 1;
  }
  return false;
}

// True with probability exp(-numerator / denominator) for any numerator; denominator as above.
template <class Word>
bool bernoulli_exp(Word numerator, Word denominator, ByteSource& source) noexcept {
  for (Word whole = numerator / denominator; whole != 0; --whole) {
    if (!bernoulli_exp_below_one<Word>(1, 1, source)) return false;
  }
  return bernoulli_exp_below_one<Word>(numerator % denominator, denominator, source);
}

}  // namespace edgeml
