// SPDX-License-Identifier: Apache-2.0
#include "noise/chacha20.h"

#include <bit>
#include <cstring>

static_assert(std::endian::native == std::endian::little, "the key stream is stored as little-endian words");

namespace edgeml {
namespace {

constexpr std::size_t kBlockWords = 16;
constexpr std::size_t kLanes = 4;

// One word of four blocks: SSE2 and NEON are part of every machine that edgeml runs on.
using Lanes = std::uint32_t __attribute__((vector_size(16)));

template <int kBits>
Lanes rotate_left(Lanes x) noexcept {
  return x << kBits | x >> (32 - kBits);
}

void quarter_round(Lanes& a, Lanes& b, Lanes& c, Lanes& d) noexcept {
  a += b;
  d = rotate_left<16>(d ^ a);
  c += d;
  b = rotate_left<12>(b ^ c);
  a += b;
  d = rotate_left<8>(d ^ a);
  c += d;
  b = rotate_left<7>(b ^ c);
}

Lanes broadcast(std::uint32_t word) noexcept { return Lanes{word, word, word, word}; }

}  // namespace

void chacha20_key_stream(const ChaChaKey& key, std::uint32_t counter, const ChaChaNonce& nonce,
                         std::span<std::uint8_t> out) noexcept {
  Lanes begin[kBlockWords] = {broadcast(0x61707865U), broadcast(0x3320646eU), broadcast(0x79622d32U),
                              broadcast(0x6b206574U)};
  for (std::size_t i = 0; i < key.size(); ++i) begin[4 + i] = broadcast(key[i]);
  begin[12] = Lanes{counter, counter + 1, counter + 2, counter + 3};
  for (std::size_t i = 0; i < nonce.size(); ++i) begin[13 + i] = broadcast(nonce[i]);
  for (; out.size() >= kChaChaStepBytes; out = out.subspan(kChaChaStepBytes)) {
    Lanes x[kBlockWords];
    std::memcpy(x, begin, sizeof x);
    for (int round = 0; round < 20; round += 2) {
      for (std::size_t i = 0; i < 4; ++i) quarter_round(x[i], x[4 + i], x[8 + i], x[12 + i]);
      for (std::size_t i = 0; i < 4; ++i) {
        quarter_round(x[i], x[4 + (i + 1) % 4], x[8 + (i + 2) % 4], x[12 + (i + 3) % 4]);
      }
    }
    std::uint32_t blocks[kLanes][kBlockWords];
    for (std::size_t word = 0; word < kBlockWords; ++word) {
      x[word] += begin[word];
      for (std::size_t lane = 0; lane < kLanes; ++lane) blocks[lane][word] = x[word][lane];
    }
    std::memcpy(out.data(), blocks, sizeof blocks);
    begin[12] += broadcast(kLanes);
  }
}

}  // namespace edgeml
