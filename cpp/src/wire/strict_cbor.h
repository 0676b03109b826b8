// SPDX-License-Identifier: Apache-2.0
// CBOR from an untrusted sender (docs/design/wire.md, section 4): whether bytes are one item in deterministic encoding.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace edgeml {

inline constexpr int kCborDepthMax = 8;

// Empty if `data` is one item that fills it: integers, byte strings, text, arrays, maps with ascending integer keys,
// simple values and floats; shortest heads, definite lengths, no tags. Otherwise the sentence that says where it is
// not. Nothing is decoded; whether text is UTF-8 is left to the decoder.
std::string cbor_fault(std::span<const std::uint8_t> data);

}  // namespace edgeml
