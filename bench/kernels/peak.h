// SPDX-License-Identifier: Apache-2.0
// The most that this core can do, measured from registers and from the first-level cache.
#pragma once

#include "cpu/cpu_features.h"

namespace edgeml::bench {

// int8 multiply-accumulates per cycle of the level's multiply instruction in a loop without loads; 0 for levels that
// have no such instruction (ref).
double peak_macs_per_cycle(Isa isa);

// Bytes copied per cycle (counted once) between two buffers of the given size.
double peak_copy_bytes_per_cycle(std::size_t bytes);

}  // namespace edgeml::bench
