// SPDX-License-Identifier: Apache-2.0
// Every s64_rank row that this machine runs equals ref, and ref equals a sorted search.
#include "kernels/s64_rank/s64_rank.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <limits>
#include <string>

#include "support/guarded_buffer.h"
#include "support/kernel_cases.h"

namespace edgeml::test {
namespace {

using namespace edgeml::kernels;  // NOLINT: the test is about this namespace

TEST_CASE("s64_rank counts the entries below each word") {
  std::mt19937_64 rng(1);
  for (const auto& row : runnable_rows<S64RankFn>()) {
    for (const std::size_t n : {8U, 16U, 24U, 32U, 40U, 64U, 104U}) {
      for (const std::size_t entries : {0U, 8U, 16U, 56U, 120U}) {
        GuardedBuffer<std::int64_t> words(n, Edge::end);
        GuardedBuffer<std::int64_t> table(entries, Edge::end);
        GuardedBuffer<std::int64_t> actual(n, Edge::end);
        for (std::int64_t& entry : table.span()) entry = static_cast<std::int64_t>(rng());
        if (entries != 0) table[entries - 1] = std::numeric_limits<std::int64_t>::max();
        std::ranges::sort(table.span());
        for (std::size_t i = 0; i < n; ++i) {
          words[i] = static_cast<std::int64_t>(rng());
          if (i % 3 == 1 && entries != 0) words[i] = table[rng() % entries];
          if (i % 8 == 5) words[i] = std::numeric_limits<std::int64_t>::min();
          if (i % 8 == 6) words[i] = std::numeric_limits<std::int64_t>::max();
        }
        row.fn({words.data(), actual.data(), static_cast<std::int64_t>(n), table.data(),
                static_cast<std::int64_t>(entries)});
        INFO(std::string(row.name) << " n " << n << " entries " << entries);
        for (std::size_t i = 0; i < n; ++i) {
          CHECK(actual[i] == std::ranges::lower_bound(table.span(), words[i]) - table.span().begin());
        }
        CHECK(actual.canary_intact());
      }
    }
  }
}

}  // namespace
}  // namespace edgeml::test
