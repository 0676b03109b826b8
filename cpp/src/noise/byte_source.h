// SPDX-License-Identifier: Apache-2.0
// Where the random bits of the noise come from: the operating system in production, a seed in tests.
//
// 32 bytes of seed become a ChaCha20 key. Every block of key stream begins with the key of the next block (fast key
// erasure, Bernstein 2017): who sees the memory afterwards learns nothing about what was drawn before.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>

#include "noise/chacha20.h"

namespace edgeml {

// Hands out uniform words, little-endian. A source lives for one release: one that outlived it could be copied by
// fork() and give two processes the same noise.
class ByteSource {
 public:
  ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  virtual ~ByteSource();  // wipes key and buffer

  std::uint8_t next_u8() noexcept { return next<std::uint8_t>(); }
  std::uint16_t next_u16() noexcept { return next<std::uint16_t>(); }
  std::uint32_t next_u32() noexcept { return next<std::uint32_t>(); }
  std::uint64_t next_u64() noexcept { return next<std::uint64_t>(); }
  bool next_bit() noexcept {
    if (bits_left_ == 0) {
      bits_ = next_u32();
      bits_left_ = 32;
    }
    const bool bit = (bits_ & 1U) != 0;
    bits_ >>= 1;
    --bits_left_;
    return bit;
  }
  // Uniform 64-bit words, signed: what a table is scanned for.
  void fill_words(std::span<std::int64_t> words) noexcept {
    for (std::int64_t& word : words) word = static_cast<std::int64_t>(next_u64());
  }

  // False once the bytes could not be had; words are then not random and must not be used.
  bool ok() const noexcept { return ok_; }

 protected:
  // Fills the first key; false if that is not possible. Called once.
  virtual bool seed(ChaChaKey& key) noexcept = 0;

 private:
  static constexpr std::size_t kBlockBytes = 4096;

  template <class Word>
  Word next() noexcept {
    if (used_ + sizeof(Word) > kBlockBytes) refill();
    Word word;
    std::memcpy(&word, block_.data() + used_, sizeof(Word));
    used_ += sizeof(Word);
    return word;
  }
  void refill() noexcept;

  ChaChaKey key_{};
  alignas(64) std::array<std::uint8_t, kBlockBytes> block_;
  std::size_t used_ = kBlockBytes;
  std::uint32_t bits_ = 0;
  int bits_left_ = 0;
  bool is_seeded_ = false;
  bool ok_ = true;
};

// getrandom(2): the kernel's CSPRNG, seeded before the first byte.
class SystemByteSource final : public ByteSource {
 protected:
  bool seed(ChaChaKey& key) noexcept override;
};

// The same bytes for the same seed on every machine. For tests: never for a release.
class SeededByteSource final : public ByteSource {
 public:
  explicit SeededByteSource(std::uint64_t seed) : seed_(seed) {}

 protected:
  bool seed(ChaChaKey& key) noexcept override;

 private:
  std::uint64_t seed_;
};

}  // namespace edgeml
