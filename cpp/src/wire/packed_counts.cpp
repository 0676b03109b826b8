// SPDX-License-Identifier: Apache-2.0
// Unpacks zigzag varints, one loop over the bytes.
#include "wire/packed_counts.h"

namespace edgeml {
namespace {

constexpr int kVarintBytesMax = 10;  // 64 bits, 7 a byte

std::int64_t of_zigzag(std::uint64_t zigzag) {
  return static_cast<std::int64_t>(zigzag >> 1U) ^ -static_cast<std::int64_t>(zigzag & 1U);
}

}  // namespace

std::size_t packed_counts_size(std::span<const std::uint8_t> packed) {
  std::size_t counts = 0;
  for (const std::uint8_t octet : packed) counts += octet < 0x80U ? 1U : 0U;
  return counts;
}

PackedCountsFault unpack_counts(std::span<const std::uint8_t> packed, std::span<std::int64_t> counts) {
  if (!packed.empty() && packed.back() >= 0x80U) return PackedCountsFault::cut_off;
  std::size_t at = 0;
  for (std::int64_t& count : counts) {  // the last byte ends a count, so no count runs past the end
    std::uint64_t octet = packed[at++];
    std::uint64_t zigzag = octet & 0x7FU;
    for (int length = 1; octet >= 0x80U; ++length) {
      if (length == kVarintBytesMax) return PackedCountsFault::beyond_64_bits;
      octet = packed[at++];
      if (octet == 0) return PackedCountsFault::longer_than_needed;
      if (length == kVarintBytesMax - 1 && octet > 1U) return PackedCountsFault::beyond_64_bits;
      zigzag |= (octet & 0x7FU) << static_cast<unsigned>(7 * length);
    }
    count = of_zigzag(zigzag);
  }
  return PackedCountsFault::none;
}

}  // namespace edgeml
