// SPDX-License-Identifier: Apache-2.0
// The yardstick of `edgeml bench`: what the chosen matmul kernel reaches when nothing but arithmetic costs time.
#pragma once

#include "kernels/kernel_table.h"

namespace edgeml {

// Multiply-accumulates per second of the row on a problem that stays in the L1 cache; the best of many short runs,
// about 20 ms.
double peak_macs_per_s(const kernels::KernelRow<kernels::QS8GemmFn>& row);

}  // namespace edgeml
