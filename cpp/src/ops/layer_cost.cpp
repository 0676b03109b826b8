// SPDX-License-Identifier: Apache-2.0
#include "ops/layer_cost.h"

#include <bit>
#include <cmath>

namespace edgeml {
namespace {

constexpr double kWorthIt = 0.9;  // of the dense time

std::size_t index_of(int block_rows) { return static_cast<std::size_t>(std::countr_zero(unsigned(block_rows))); }

}  // namespace

const LayerRates& default_layer_rates(Isa isa) noexcept {
  static constexpr LayerRates kRates[] = {
#define EDGEML_LAYER_RATES(isa_name, lanes, dense, r1, r2, r4, dense_output, sparse_output) \
  {lanes, dense, {r1, r2, r4}, dense_output, sparse_output},
#include "ops/layer_rates.def"
#undef EDGEML_LAYER_RATES
  };
  static constexpr Isa kIsas[] = {
#define EDGEML_LAYER_RATES(isa_name, lanes, dense, r1, r2, r4, dense_output, sparse_output) Isa::isa_name,
#include "ops/layer_rates.def"
#undef EDGEML_LAYER_RATES
  };
  std::size_t i = 0;
  while (kIsas[i] != isa) ++i;
  return kRates[i];
}

double dense_cycles(const LayerRates& rates, const LayerShape& shape) noexcept {
  const double outputs = static_cast<double>(shape.pixels) * static_cast<double>(shape.channels);
  return outputs * (4.0 * static_cast<double>(shape.depth_words) / rates.dense + rates.dense_output);
}

double sparse_cycles(const LayerRates& rates, const LayerShape& shape, int block_rows, std::int64_t blocks) noexcept {
  const double swept = std::ceil(static_cast<double>(shape.swept_pixels) / rates.lanes) * rates.lanes;
  const double macs = static_cast<double>(blocks) * 4.0 * block_rows;  // of one pixel
  return swept *
         (macs / rates.sparse[index_of(block_rows)] + static_cast<double>(shape.channels) * rates.sparse_output);
}

bool sparse_wins(const LayerRates& rates, const LayerShape& shape, int block_rows, std::int64_t blocks) noexcept {
  return sparse_cycles(rates, shape, block_rows, blocks) < kWorthIt * dense_cycles(rates, shape);
}

}  // namespace edgeml
