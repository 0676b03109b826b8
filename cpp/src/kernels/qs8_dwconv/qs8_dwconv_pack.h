// SPDX-License-Identifier: Apache-2.0
// Depthwise weights of one plane: canonical [kernel_h][kernel_w][4] -> [kernel_h][ceil(kernel_w/kr)][4 channels][kr
// taps], zero in the tail; kr = 4 where one dot product takes four taps, 2 for int16 pairs, 1 for ref.
#pragma once

#include <cstdint>

namespace edgeml::kernels {

static inline std::int64_t qs8_dwconv_packed_bytes(std::int32_t kernel_h, std::int32_t kernel_w, std::int32_t kr) {
  return static_cast<std::int64_t>(kernel_h) * ((kernel_w + kr - 1) / kr) * kr * 4;
}

static inline void qs8_dwconv_pack(const std::int8_t* taps, std::int32_t kernel_h, std::int32_t kernel_w,
                                   std::int32_t kr, std::int8_t* packed) {
  for (std::int32_t y = 0; y < kernel_h; ++y) {
    for (std::int32_t x0 = 0; x0 < kernel_w; x0 += kr) {
      for (std::int32_t c = 0; c < 4; ++c) {
        for (std::int32_t x = x0; x < x0 + kr; ++x) {
          *packed++ = x < kernel_w ? taps[(y * kernel_w + x) * 4 + c] : std::int8_t{0};
        }
      }
    }
  }
}

}  // namespace edgeml::kernels
