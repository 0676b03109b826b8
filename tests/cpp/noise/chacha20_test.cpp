// SPDX-License-Identifier: Apache-2.0
// The key stream against the test vector of RFC 8439, and its blocks against each other.
#include "noise/chacha20.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <vector>

namespace edgeml {
namespace {

constexpr ChaChaKey kKey = {0x03020100, 0x07060504, 0x0b0a0908, 0x0f0e0d0c,
                            0x13121110, 0x17161514, 0x1b1a1918, 0x1f1e1d1c};

std::vector<std::uint8_t> stream(std::uint32_t counter, const ChaChaNonce& nonce, std::size_t bytes) {
  std::vector<std::uint8_t> out(bytes);
  chacha20_key_stream(kKey, counter, nonce, out);
  return out;
}

TEST_CASE("RFC 8439, section 2.3.2") {
  const std::array<std::uint8_t, 64> expected = {
      0x10, 0xf1, 0xe7, 0xe4, 0xd1, 0x3b, 0x59, 0x15, 0x50, 0x0f, 0xdd, 0x1f, 0xa3, 0x20, 0x71, 0xc4,
      0xc7, 0xd1, 0xf4, 0xc7, 0x33, 0xc0, 0x68, 0x03, 0x04, 0x22, 0xaa, 0x9a, 0xc3, 0xd4, 0x6c, 0x4e,
      0xd2, 0x82, 0x64, 0x46, 0x07, 0x9f, 0xaa, 0x09, 0x14, 0xc2, 0xd7, 0x05, 0xd9, 0x8b, 0x02, 0xa2,
      0xb5, 0x12, 0x9c, 0xd1, 0xde, 0x16, 0x4e, 0xb9, 0xcb, 0xd0, 0x83, 0xe8, 0xa2, 0x50, 0x3c, 0x4e};
  const std::vector<std::uint8_t> actual = stream(1, {0x09000000, 0x4a000000, 0}, kChaChaStepBytes);
  CHECK(std::equal(expected.begin(), expected.end(), actual.begin()));
}

TEST_CASE("lanes and steps continue each other") {
  const std::vector<std::uint8_t> all = stream(5, {}, 3 * kChaChaStepBytes);
  for (std::uint32_t block = 0; block < 8; ++block) {
    const std::vector<std::uint8_t> one = stream(5 + block, {}, kChaChaStepBytes);
    CHECK(std::equal(one.begin(), one.end(), all.begin() + block * 64));
  }
}

}  // namespace
}  // namespace edgeml
