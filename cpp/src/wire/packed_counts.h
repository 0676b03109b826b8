// SPDX-License-Identifier: Apache-2.0
// Window vectors on the wire: one zigzag varint a slot (docs/design/wire.md, section 4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace edgeml {

enum class PackedCountsFault { none, cut_off, longer_than_needed, beyond_64_bits };

// How many counts `packed` holds, if it is sound: bytes without the bit that says that more follow.
std::size_t packed_counts_size(std::span<const std::uint8_t> packed);

// Writes packed_counts_size(packed) counts; on a fault their values mean nothing.
PackedCountsFault unpack_counts(std::span<const std::uint8_t> packed, std::span<std::int64_t> counts);

}  // namespace edgeml
