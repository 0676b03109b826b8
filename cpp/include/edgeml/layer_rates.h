// SPDX-License-Identifier: Apache-2.0
// How fast a machine runs the layers with weights: what the choice between dense and block-sparse rests on. It moves
// time, never results.
#pragma once

#include <array>

namespace edgeml {

inline constexpr std::array<int, 3> kBlockRows = {1, 2, 4};  // heights of a block of sparse weights

struct LayerRates {
  double lanes;                  // pixels that a sparse kernel computes at a time; what is over is computed in vain
  double dense;                  // multiply-accumulates per cycle
  std::array<double, 3> sparse;  // of weights that are there, per cycle, for each of kBlockRows
  double dense_output;           // cycles for each output beside its products: requantize, store
  double sparse_output;          // the same of the sparse kernels
  bool operator==(const LayerRates&) const = default;
};

}  // namespace edgeml
