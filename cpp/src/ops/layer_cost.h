// SPDX-License-Identifier: Apache-2.0
// The cost model of layers with weights: predicted cycles on one core, dense or block-sparse. The converter chooses by
// it how weights are stored, the loader whether stored blocks run as they are or filled up with zeros.
//
//   dense   pixels * channels * 4*depth_words / rates.dense                  + pixels * channels * rates.dense_output
//   sparse  swept * blocks * 4*r / rates.sparse[r]                           + swept * channels * rates.sparse_output
//
// swept is swept_pixels rounded up to the lanes: every pixel that a sparse kernel computes, outputs or not.
#pragma once

#include <cstdint>

#include "cpu/cpu_features.h"
#include "edgeml/layer_rates.h"

namespace edgeml {

// A convolution or a product with constant weights, of one sample.
struct LayerShape {
  std::int64_t channels;      // of the output
  std::int64_t depth_words;   // taps * ceil(input channels / 4)
  std::int64_t pixels;        // outputs of a channel
  std::int64_t swept_pixels;  // from the first output to the last, along rows at one pitch; >= pixels
};

// The row of layer_rates.def.
const LayerRates& default_layer_rates(Isa isa) noexcept;

double dense_cycles(const LayerRates& rates, const LayerShape& shape) noexcept;
double sparse_cycles(const LayerRates& rates, const LayerShape& shape, int block_rows, std::int64_t blocks) noexcept;

// True if the prediction for sparse is better by more than a tenth, the least that is worth a form of its own.
bool sparse_wins(const LayerRates& rates, const LayerShape& shape, int block_rows, std::int64_t blocks) noexcept;

}  // namespace edgeml
