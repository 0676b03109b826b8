// SPDX-License-Identifier: Apache-2.0
// The ChaCha20 key stream (RFC 8439, section 2.3): what expands 32 bytes of the operating system into the bits of a
// release.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace edgeml {

using ChaChaKey = std::array<std::uint32_t, 8>;
using ChaChaNonce = std::array<std::uint32_t, 3>;

inline constexpr std::size_t kChaChaStepBytes = 256;  // four blocks, one in each lane

// Fills `out` with the blocks counter, counter + 1, ... of the key stream. out.size() is a multiple of
// kChaChaStepBytes.
void chacha20_key_stream(const ChaChaKey& key, std::uint32_t counter, const ChaChaNonce& nonce,
                         std::span<std::uint8_t> out) noexcept;

}  // namespace edgeml
