// SPDX-License-Identifier: Apache-2.0
// x8_lut_neon: the table in 16 registers, four tbl of 64 entries for 16 values. Contract: x8_lut.h.
#include <arm_neon.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/x8_lut/x8_lut.h"

namespace edgeml::kernels {
namespace {

struct Table {
  uint8x16x4_t quarter[4];
};

// tbl gives 0 for an index beyond its 64 entries, tbx leaves the result as it is.
uint8x16_t look_up(const Table& table, uint8x16_t index) {
  const uint8x16_t quarter = vdupq_n_u8(64);
  uint8x16_t result = vqtbl4q_u8(table.quarter[0], index);
  for (int i = 1; i < 4; ++i) {
    index = vsubq_u8(index, quarter);
    result = vqtbx4q_u8(result, table.quarter[i], index);
  }
  return result;
}

}  // namespace

void x8_lut_neon(const X8LutArgs& args) noexcept {
  const Table table{{vld1q_u8_x4(args.table), vld1q_u8_x4(args.table + 64), vld1q_u8_x4(args.table + 128),
                     vld1q_u8_x4(args.table + 192)}};
  std::int64_t i = 0;
  for (; i + 16 <= args.n; i += 16) vst1q_u8(args.out + i, look_up(table, vld1q_u8(args.in + i)));
  if (i == args.n) return;
  const auto rest = static_cast<std::size_t>(args.n - i);
  std::uint8_t bytes[16] = {};
  std::memcpy(bytes, args.in + i, rest);
  vst1q_u8(bytes, look_up(table, vld1q_u8(bytes)));
  std::memcpy(args.out + i, bytes, rest);
}

}  // namespace edgeml::kernels
