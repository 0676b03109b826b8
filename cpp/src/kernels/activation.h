// SPDX-License-Identifier: Apache-2.0
// The memory form of an int8 activation (numerics.md, section 3): x86 keeps q XOR 0x80 as u8, ARM keeps q as s8.
#pragma once

#include <cstdint>

namespace edgeml::kernels {

#if defined(__x86_64__)
using act_t = std::uint8_t;
inline constexpr std::int32_t kActOffset = 128;  // stored value = q + kActOffset
#else
using act_t = std::int8_t;
inline constexpr std::int32_t kActOffset = 0;
#endif

}  // namespace edgeml::kernels
