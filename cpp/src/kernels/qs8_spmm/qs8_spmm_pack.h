// SPDX-License-Identifier: Apache-2.0
// A block of the artifact -> the form of one qs8_spmm row, by the kr of its row in kernels.def.
//
//   kr 4   [r][4] s8       as in the artifact
//   kr 8   as kr 4; rows have an even number of blocks, an odd one ends with a block of zeros at the last one's offset
//   kr 2   [r][2][2] s16   channels 0 and 2, then 1 and 3: what the even and the odd bytes of a word are multiplied by
#pragma once

#include <cstdint>
#include <cstring>

namespace edgeml::kernels {

static inline std::int64_t qs8_spmm_block_bytes(std::int32_t block_rows, std::int32_t kr) {
  return std::int64_t{block_rows} * (kr == 2 ? 8 : 4);
}

// Blocks of a row in packed form.
static inline std::int32_t qs8_spmm_row_blocks(std::int32_t blocks, std::int32_t kr) {
  return kr == 8 ? blocks + blocks % 2 : blocks;
}

static inline void qs8_spmm_pack(const std::int8_t* block, std::int32_t block_rows, std::int32_t kr,
                                 std::int8_t* packed) {
  if (kr != 2) {
    std::memcpy(packed, block, static_cast<std::size_t>(block_rows) * 4);
    return;
  }
  for (std::int32_t row = 0; row < block_rows; ++row, block += 4, packed += 8) {
    const std::int16_t pairs[4] = {block[0], block[2], block[1], block[3]};
    std::memcpy(packed, pairs, sizeof(pairs));
  }
}

}  // namespace edgeml::kernels
