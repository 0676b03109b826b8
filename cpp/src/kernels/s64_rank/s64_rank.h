// SPDX-License-Identifier: Apache-2.0
// s64_rank: out[i] = how many of the entries are below words[i]. Constant time: every word is compared with every
// entry, and neither an instruction nor an address depends on a word or an entry.
#pragma once

#include <cstdint>

namespace edgeml::kernels {

struct S64RankArgs {
  const std::int64_t* words;
  std::int64_t* out;
  std::int64_t n;  // a multiple of 8
  const std::int64_t* entries;
  std::int64_t entry_count;  // a multiple of 8
};

using S64RankFn = void (*)(const S64RankArgs&) noexcept;

}  // namespace edgeml::kernels
