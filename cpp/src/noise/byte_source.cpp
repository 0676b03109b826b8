// SPDX-License-Identifier: Apache-2.0
#include "noise/byte_source.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>

namespace edgeml {

ByteSource::~ByteSource() { explicit_bzero(block_.data(), block_.size()); }

std::uint32_t ByteSource::next_u32() noexcept {
  if (used_ == kBlockBytes) {
    if (!fill(block_)) {
      ok_ = false;
      block_.fill(0);
    }
    used_ = 0;
  }
  const std::uint8_t* at = block_.data() + used_;
  used_ += 4;
  return std::uint32_t{at[0]} | std::uint32_t{at[1]} << 8 | std::uint32_t{at[2]} << 16 | std::uint32_t{at[3]} << 24;
}

bool ByteSource::next_bit() noexcept {
  if (bits_left_ == 0) {
    bits_ = next_u32();
    bits_left_ = 32;
  }
  const bool bit = (bits_ & 1U) != 0;
  bits_ >>= 1;
  --bits_left_;
  return bit;
}

bool SystemByteSource::fill(std::span<std::uint8_t> block) noexcept {
  while (!block.empty()) {
    const ssize_t got = getrandom(block.data(), block.size(), 0);
    if (got > 0) {
      block = block.subspan(static_cast<std::size_t>(got));
    } else if (got == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool SeededByteSource::fill(std::span<std::uint8_t> block) noexcept {
  for (std::uint8_t& byte : block) {
    const auto place = static_cast<std::size_t>(&byte - block.data()) % 8;
    if (place == 0) state_ += 0x9e3779b97f4a7c15U;
    std::uint64_t z = state_;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9U;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebU;
    byte = static_cast<std::uint8_t>((z ^ (z >> 31)) >> (8 * place));
  }
  return true;
}

}  // namespace edgeml
