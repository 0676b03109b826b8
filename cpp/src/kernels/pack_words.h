// SPDX-License-Identifier: Apache-2.0
// A matrix of activations -> the packed weights of one qs8_gemm row, at run time: for products of two activations.
#pragma once

#include <cstdint>
#include <cstring>

namespace edgeml::kernels {

// words: [k_groups][columns] of 4 s8 each, consecutive in depth. packed:
// [ceil(columns/nr)][ceil(4*k_groups/kr)][nr][kr], zero in the tails; kr is 2 or a multiple of 4.
static inline void qs8_gemm_pack_words(const std::int8_t* words, std::int32_t columns, std::int32_t k_groups,
                                       std::int32_t nr, std::int32_t kr, std::int8_t* packed) {
  const std::int32_t steps = (4 * k_groups + kr - 1) / kr;
  for (std::int32_t n0 = 0; n0 < columns; n0 += nr) {
    const std::int32_t count = columns - n0 < nr ? columns - n0 : nr;
    std::int8_t* const panel = packed;
    packed += std::int64_t{steps} * nr * kr;
    if (count < nr || 4 * k_groups % kr != 0) {
      std::memset(panel, 0, static_cast<std::size_t>(packed - panel));
    }
    for (std::int32_t g = 0; g < k_groups; ++g) {
      const std::int8_t* const from = words + (std::int64_t{g} * columns + n0) * 4;
      if (kr == 4) {
        std::memcpy(panel + std::int64_t{g} * nr * 4, from, static_cast<std::size_t>(count) * 4);
      } else if (kr == 2) {
        std::int8_t* const to = panel + std::int64_t{g} * nr * 4;
        for (std::int32_t n = 0; n < count; ++n) {
          std::memcpy(to + n * 2, from + n * 4, 2);
          std::memcpy(to + nr * 2 + n * 2, from + n * 4 + 2, 2);
        }
      } else {
        const std::int32_t words_per_step = kr / 4;
        std::int8_t* const to = panel + std::int64_t{g / words_per_step} * nr * kr + g % words_per_step * 4;
        for (std::int32_t n = 0; n < count; ++n) std::memcpy(to + n * kr, from + n * 4, 4);
      }
    }
  }
}

}  // namespace edgeml::kernels
