// SPDX-License-Identifier: Apache-2.0
// Rules that several operators share (artifact-format.md, section 5). Each failure names the node.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>

#include "base/result.h"
#include "kernels/requantize.h"
#include "model/block_sparse.h"
#include "ops/operator.h"

namespace edgeml {

// "node "conv1" (conv2d)": how every message starts.
std::string where(const OperatorContext& context);

Status check_activation(const OperatorContext& context, const Tensor& tensor, DType dtype, std::int32_t rank = 0);
Status check_constant(const OperatorContext& context, std::size_t input, DType dtype,
                      std::initializer_list<std::int64_t> dims);
Status check_dims(const OperatorContext& context, const Tensor& tensor,
                  std::initializer_list<std::int64_t> dims_per_sample);
Status check_same_dims(const OperatorContext& context, const Tensor& a, const Tensor& b);
Status check_same_quantization(const OperatorContext& context, const Tensor& a, const Tensor& b);
Status check_attribute_range(const OperatorContext& context, std::size_t first, std::size_t count, std::int32_t min,
                             std::int32_t max);
// act_min and act_max at attributes first and first + 1.
Status check_act_range(const OperatorContext& context, std::size_t first);
// Constant input of f32: normal, in [2^-32, 2^8); negative values only where the operator takes them.
Status check_multipliers(const OperatorContext& context, std::size_t input, bool signs_allowed = false);
// Weights are in [-127, 127] and no sum of a row can leave int32; rows of `row` values at stride 1, or `stride` apart.
Status check_weights(const OperatorContext& context, std::int64_t rows, std::int64_t row, std::int64_t row_step,
                     std::int64_t value_step);

// Block-sparse weights that will run dense are not larger than a dense layer may be.
Status check_dense_size(const OperatorContext& context, const BlockSparse& weights);
// check_weights for block-sparse weights.
Status check_sparse_weights(const OperatorContext& context, const BlockSparse& weights);

kernels::OutputRange output_range(const Tensor& output, std::int32_t act_min, std::int32_t act_max);

}  // namespace edgeml
