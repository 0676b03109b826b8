// SPDX-License-Identifier: Apache-2.0
// How fully_connected runs with block-sparse weights on inputs of several pixels (tokens).
#pragma once

#include "model/block_sparse.h"
#include "ops/operator.h"

namespace edgeml {

// After the checks of fully_connected; the input has more than one pixel.
OperatorResult make_sparse_fully_connected(const OperatorContext& context, const BlockSparse& weights);

}  // namespace edgeml
