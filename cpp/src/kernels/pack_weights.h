// SPDX-License-Identifier: Apache-2.0
// Canonical weights -> the layout of one qs8_gemm row. K is 4*k_groups: the input channels of each tap are padded to a
// multiple of 4, taps outermost, so that depth word g is tap g / C4, channels 4*(g % C4)...
#pragma once

#include <cstdint>

namespace edgeml::kernels {

static inline std::int64_t qs8_gemm_packed_bytes(std::int32_t channels, std::int32_t k_groups, std::int32_t nr,
                                                 std::int32_t kr) {
  const std::int64_t panels = (channels + nr - 1) / nr;
  const std::int64_t steps = (4 * std::int64_t{k_groups} + kr - 1) / kr;
  return panels * steps * nr * kr;
}

// weights: [channels][taps][in_channels] s8. packed: [ceil(channels/nr)][ceil(K/kr)][nr][kr], zero in the tails.
static inline void qs8_gemm_pack(const std::int8_t* weights, std::int32_t channels, std::int32_t taps,
                                 std::int32_t in_channels, std::int32_t nr, std::int32_t kr, std::int8_t* packed) {
  const std::int32_t c_padded = (in_channels + 3) / 4 * 4;
  const std::int64_t depth = std::int64_t{taps} * c_padded;
  for (std::int32_t n0 = 0; n0 < channels; n0 += nr) {
    for (std::int64_t k0 = 0; k0 < depth; k0 += kr) {
      for (std::int32_t n = n0; n < n0 + nr; ++n) {
        for (std::int64_t k = k0; k < k0 + kr; ++k) {
          const std::int64_t tap = k / c_padded;
          const std::int64_t c = k % c_padded;
          const bool inside = n < channels && k < depth && c < in_channels;
          *packed++ = inside ? weights[(n * std::int64_t{taps} + tap) * in_channels + c] : std::int8_t{0};
        }
      }
    }
  }
}

}  // namespace edgeml::kernels
