// SPDX-License-Identifier: Apache-2.0
// s64_rank_ref: the specification of s64_rank.h. A comparison is the borrow of a subtraction: a conditional could
// become a jump.
#include "kernels/s64_rank/s64_rank.h"

namespace edgeml::kernels {
namespace {

// 1 if a < b, as unsigned numbers (Warren, Hacker's Delight, section 2-12).
inline std::uint64_t is_below(std::uint64_t a, std::uint64_t b) { return ((~a & b) | ((~a | b) & (a - b))) >> 63; }

constexpr std::uint64_t kSign = std::uint64_t{1} << 63;

}  // namespace

void s64_rank_ref(const S64RankArgs& args) noexcept {
  for (std::int64_t i = 0; i < args.n; ++i) {
    const std::uint64_t word = static_cast<std::uint64_t>(args.words[i]) ^ kSign;
    std::uint64_t rank = 0;
    for (std::int64_t e = 0; e < args.entry_count; ++e) {
      rank += is_below(static_cast<std::uint64_t>(args.entries[e]) ^ kSign, word);
    }
    args.out[i] = static_cast<std::int64_t>(rank);
  }
}

}  // namespace edgeml::kernels
