// SPDX-License-Identifier: Apache-2.0
// The rates of the cost model (ops/layer_cost.h), measured on this machine.
#pragma once

#include "edgeml/layer_rates.h"
#include "kernels/kernel_table.h"

namespace edgeml {

// Times the dense and the sparse kernel of a table on two layers that differ in depth, and fits the model to them. In
// multiply-accumulates per nanosecond and nanoseconds per output: predictions are compared, so any unit of time does.
// Takes about a second.
LayerRates measure_layer_rates(const kernels::KernelTable& table);

}  // namespace edgeml
