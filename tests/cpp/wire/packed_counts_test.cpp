// SPDX-License-Identifier: Apache-2.0
// Zigzag varints at the ends of every length, and what is refused.
#include "wire/packed_counts.h"

#include <doctest/doctest.h>

#include <limits>
#include <vector>

namespace edgeml {
namespace {

std::vector<std::uint8_t> pack(const std::vector<std::int64_t>& counts) {
  std::vector<std::uint8_t> packed;
  for (const std::int64_t count : counts) {
    std::uint64_t zigzag = static_cast<std::uint64_t>(count) << 1U ^ static_cast<std::uint64_t>(count >> 63);
    for (; zigzag >= 0x80U; zigzag >>= 7U) packed.push_back(static_cast<std::uint8_t>(zigzag | 0x80U));
    packed.push_back(static_cast<std::uint8_t>(zigzag));
  }
  return packed;
}

PackedCountsFault fault_of(const std::vector<std::uint8_t>& packed) {
  std::vector<std::int64_t> counts(packed_counts_size(packed));
  return unpack_counts(packed, counts);
}

TEST_CASE("packed_counts: both ends of every length come back") {
  std::vector<std::int64_t> counts = {0, std::numeric_limits<std::int64_t>::min(),
                                      std::numeric_limits<std::int64_t>::max()};
  for (int bit = 0; bit < 63; ++bit) {
    const std::int64_t power = std::int64_t{1} << bit;
    for (const std::int64_t near : {power - 1, power, power + (power > 1 ? 1 : 0)}) {
      counts.push_back(near);
      counts.push_back(-near);
    }
  }
  const std::vector<std::uint8_t> packed = pack(counts);
  REQUIRE(packed_counts_size(packed) == counts.size());
  std::vector<std::int64_t> unpacked(counts.size());
  REQUIRE(unpack_counts(packed, unpacked) == PackedCountsFault::none);
  CHECK(unpacked == counts);
}

TEST_CASE("packed_counts: nothing is zero counts") { CHECK(fault_of({}) == PackedCountsFault::none); }

TEST_CASE("packed_counts: faults") {
  CHECK(fault_of({0x80}) == PackedCountsFault::cut_off);
  CHECK(fault_of({0x01, 0xFF}) == PackedCountsFault::cut_off);
  CHECK(fault_of({0x80, 0x00}) == PackedCountsFault::longer_than_needed);
  CHECK(fault_of({0x01, 0x81, 0x00}) == PackedCountsFault::longer_than_needed);
  std::vector<std::uint8_t> wide(9, 0xFF);
  wide.push_back(0x02);
  CHECK(fault_of(wide) == PackedCountsFault::beyond_64_bits);
  wide.back() = 0x81;
  wide.push_back(0x01);
  CHECK(fault_of(wide) == PackedCountsFault::beyond_64_bits);
}

}  // namespace
}  // namespace edgeml
