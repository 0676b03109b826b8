// SPDX-License-Identifier: Apache-2.0
// Where the random bits of the noise come from: the operating system in production, a seed in tests.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>

namespace edgeml {

// Hands out uniform words from blocks of bytes. A source lives for one release: a buffer that outlived it could be
// copied by fork() and give two processes the same noise.
class ByteSource {
 public:
  ByteSource() = default;
  ByteSource(const ByteSource&) = delete;
  ByteSource& operator=(const ByteSource&) = delete;
  virtual ~ByteSource();  // wipes the buffer

  std::uint32_t next_u32() noexcept;
  std::uint64_t next_u64() noexcept {
    const std::uint64_t high = next_u32();
    return high << 32 | next_u32();
  }
  bool next_bit() noexcept;

  // False once the bytes could not be had; words are then not random and must not be used.
  bool ok() const noexcept { return ok_; }

 protected:
  virtual bool fill(std::span<std::uint8_t> block) noexcept = 0;

 private:
  static constexpr std::size_t kBlockBytes = 4096;
  std::array<std::uint8_t, kBlockBytes> block_;
  std::size_t used_ = kBlockBytes;
  std::uint32_t bits_ = 0;
  int bits_left_ = 0;
  bool ok_ = true;
};

// getrandom(2): the kernel's CSPRNG, seeded before the first byte.
class SystemByteSource final : public ByteSource {
 protected:
  bool fill(std::span<std::uint8_t> block) noexcept override;
};

// The same bytes for the same seed on every machine (SplitMix64, little-endian). For tests: never for a release.
class SeededByteSource final : public ByteSource {
 public:
  explicit SeededByteSource(std::uint64_t seed) : state_(seed) {}

 protected:
  bool fill(std::span<std::uint8_t> block) noexcept override;

 private:
  std::uint64_t state_;
};

}  // namespace edgeml
