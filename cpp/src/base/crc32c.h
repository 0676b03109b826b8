// SPDX-License-Identifier: Apache-2.0
// CRC-32C (Castagnoli, reflected polynomial 0x82f63b78, RFC 3720 appendix B.4).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace edgeml {

std::uint32_t crc32c(std::span<const std::byte> bytes) noexcept;

// The portable form, eight bytes a step by table; crc32c() takes the CPU's instruction where it has one.
std::uint32_t crc32c_table(std::span<const std::byte> bytes) noexcept;

}  // namespace edgeml
