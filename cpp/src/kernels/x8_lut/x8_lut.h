// SPDX-License-Identifier: Apache-2.0
// x8_lut: out[i] = table[in[i]], the table indexed by the stored byte and holding stored bytes. out may be in.
#pragma once

#include <cstdint>

namespace edgeml::kernels {

struct X8LutArgs {
  const std::uint8_t* in;
  std::uint8_t* out;
  std::int64_t n;
  const std::uint8_t* table;  // [256]
};

using X8LutFn = void (*)(const X8LutArgs&) noexcept;

}  // namespace edgeml::kernels
