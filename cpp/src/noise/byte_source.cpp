// SPDX-License-Identifier: Apache-2.0
#include "noise/byte_source.h"

#include <sys/random.h>

#include <cerrno>

namespace edgeml {

ByteSource::~ByteSource() {
  explicit_bzero(block_.data(), block_.size());
  explicit_bzero(key_.data(), sizeof key_);
}

void ByteSource::refill() noexcept {
  if (!is_seeded_) {
    is_seeded_ = true;
    ok_ = seed(key_);
  }
  if (!ok_) {
    block_.fill(0);
    used_ = 0;
    return;
  }
  chacha20_key_stream(key_, 0, {}, block_);
  std::memcpy(key_.data(), block_.data(), sizeof key_);
  used_ = sizeof key_;
}

bool SystemByteSource::seed(ChaChaKey& key) noexcept {
  std::span<std::byte> bytes = std::as_writable_bytes(std::span(key));
  while (!bytes.empty()) {
    const ssize_t got = getrandom(bytes.data(), bytes.size(), 0);
    if (got > 0) {
      bytes = bytes.subspan(static_cast<std::size_t>(got));
    } else if (got == 0 || errno != EINTR) {
      return false;
    }
  }
  return true;
}

bool SeededByteSource::seed(ChaChaKey& key) noexcept {
  key = {static_cast<std::uint32_t>(seed_), static_cast<std::uint32_t>(seed_ >> 32)};
  return true;
}

}  // namespace edgeml
