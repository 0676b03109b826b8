// SPDX-License-Identifier: Apache-2.0
// What the strict reader lets pass, and a sentence for each thing that it does not.
#include "wire/strict_cbor.h"

#include <doctest/doctest.h>

#include <random>
#include <vector>

namespace edgeml {
namespace {

std::string fault_of(const std::vector<std::uint8_t>& data) { return cbor_fault(data); }

TEST_CASE("strict_cbor: deterministic items pass") {
  CHECK(fault_of({0x00}).empty());
  CHECK(fault_of({0x18, 0x18}).empty());                          // 24
  CHECK(fault_of({0x43, 1, 2, 3}).empty());                       // three bytes
  CHECK(fault_of({0x80}).empty());                                // []
  CHECK(fault_of({0xA0}).empty());                                // {}
  CHECK(fault_of({0xA2, 0x01, 0x80, 0x20, 0xA0}).empty());        // {1: [], -1: {}}
  CHECK(fault_of({0xF5}).empty());                                // true
  CHECK(fault_of({0xF9, 0x3C, 0x00}).empty());                    // 1.0
  CHECK(fault_of({0x82, 0x81, 0xA1, 0x01, 0x02, 0x03}).empty());  // [[{1: 2}], 3]
}

TEST_CASE("strict_cbor: everything else is refused with the place") {
  CHECK(fault_of({}) == "CBOR is cut off at byte 0");
  CHECK(fault_of({0x19, 0x01}) == "CBOR is cut off at byte 2");
  CHECK(fault_of({0x00, 0x00}) == "CBOR ends at byte 1, the message has 2");
  CHECK(fault_of({0x18, 0x17}) == "CBOR head at byte 0 is longer than needed");
  CHECK(fault_of({0x19, 0x00, 0xFF}) == "CBOR head at byte 0 is longer than needed");
  CHECK(fault_of({0xF8, 0x1F}) == "CBOR head at byte 0 is longer than needed");
  CHECK(fault_of({0xC0, 0x00}) == "CBOR tag at byte 0 is not allowed");
  CHECK(fault_of({0x9F, 0xFF}) == "CBOR head at byte 0 has no definite length");
  CHECK(fault_of({0x42, 0x00}) == "CBOR string at byte 0 says 2 bytes, 1 follow");
  CHECK(fault_of({0xA1, 0x61, 'a', 0x00}) == "CBOR map key at byte 1 is not an integer");
  CHECK(fault_of({0xA2, 0x02, 0x00, 0x01, 0x00}) == "CBOR map keys are not ascending at byte 3");
  CHECK(fault_of({0xA2, 0x01, 0x00, 0x01, 0x00}) == "CBOR map keys are not ascending at byte 3");
  CHECK(fault_of({0x9B, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF}).find("too short") != std::string::npos);
  CHECK(fault_of({0xBB, 0x80, 0, 0, 0, 0, 0, 0, 0}).find("too short") != std::string::npos);
  CHECK(fault_of({0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x80}).find("nested") != std::string::npos);
  CHECK(fault_of({0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x81, 0x80}).empty());
}

TEST_CASE("strict_cbor: any bytes end in an answer") {
  std::mt19937 random(7);
  for (int round = 0; round < 20000; ++round) {
    std::vector<std::uint8_t> data(random() % 24);
    for (std::uint8_t& octet : data) octet = static_cast<std::uint8_t>(random());
    const std::string why = fault_of(data);
    CHECK((why.empty() || why.starts_with("CBOR ")));
  }
}

}  // namespace
}  // namespace edgeml
