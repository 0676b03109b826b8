// SPDX-License-Identifier: Apache-2.0
// Canonical weights -> the layout of one qs8_gemm row. K is 4*k_groups: the input channels of each tap are padded to a
// multiple of 4, taps outermost, so that depth word g is tap g / C4, channels 4*(g % C4)...
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace edgeml::kernels {

static inline std::int64_t qs8_gemm_packed_bytes(std::int32_t channels, std::int32_t k_groups, std::int32_t nr,
                                                 std::int32_t kr) {
  const std::int64_t panels = (channels + nr - 1) / nr;
  const std::int64_t steps = (4 * std::int64_t{k_groups} + kr - 1) / kr;
  return panels * steps * nr * kr;
}

// weights: [channels][taps][in_channels] s8. packed: [ceil(channels/nr)][ceil(K/kr)][nr][kr], zero in the tails.
// Works in units of min(kr, 4) depth values, which never span two taps; kr is 2 or a multiple of 4.
static inline void qs8_gemm_pack(const std::int8_t* weights, std::int32_t channels, std::int32_t taps,
                                 std::int32_t in_channels, std::int32_t nr, std::int32_t kr, std::int8_t* packed) {
  const std::int32_t c_padded = (in_channels + 3) / 4 * 4;
  const std::int64_t depth = std::int64_t{taps} * c_padded;
  const std::int64_t row = std::int64_t{taps} * in_channels;
  const std::int32_t unit = kr < 4 ? kr : 4;
  std::memset(packed, 0, static_cast<std::size_t>(qs8_gemm_packed_bytes(channels, taps * (c_padded / 4), nr, kr)));
  for (std::int32_t n0 = 0; n0 < channels; n0 += nr) {
    const std::int32_t n_count = channels - n0 < nr ? channels - n0 : nr;
    for (std::int64_t k0 = 0; k0 < depth; k0 += kr) {
      for (std::int64_t k = k0; k < k0 + kr && k < depth; k += unit) {
        const std::int64_t c = k % c_padded;
        const std::int64_t inside = in_channels - c < unit ? in_channels - c : unit;  // <= 0: padding of a tap
        const std::int8_t* from = weights + n0 * row + k / c_padded * in_channels + c;
        std::int8_t* to = packed + (k - k0);
        for (std::int32_t n = 0; n < n_count; ++n, from += row, to += kr) {
          if (inside == 4) {
            std::memcpy(to, from, 4);
          } else {
            for (std::int64_t i = 0; i < inside; ++i) to[i] = from[i];
          }
        }
      }
      packed += std::int64_t{nr} * kr;
    }
  }
}

}  // namespace edgeml::kernels
