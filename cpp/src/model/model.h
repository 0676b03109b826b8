// SPDX-License-Identifier: Apache-2.0
// The graph of an artifact in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "edgeml/tensor.h"

namespace edgeml {

enum class OpCode : std::uint16_t {
#define EDGEML_OP(code, name, inputs_min, inputs_max, attributes, from_onnx, quantization) name = code,
#include "model/operators.def"
#undef EDGEML_OP
};

inline constexpr std::int32_t kAnyAttributes = -1;

struct OpInfo {
  OpCode code;
  std::string_view name;
  std::int32_t inputs_min, inputs_max;
  std::int32_t attributes;  // kAnyAttributes: as many as the operator says
  std::string_view from_onnx, quantization;
};

// The rows of operators.def.
std::span<const OpInfo> op_infos() noexcept;
const OpInfo* find_op_info(std::uint32_t code) noexcept;  // nullptr if there is no such row

struct Tensor {
  std::string name;
  DType dtype = DType::s8;
  bool is_constant = false;
  Dims dims;  // of an activation: dims[0] = 0 is a free batch
  float scale = 0;
  std::int32_t zero_point = 0;
  std::int32_t block_rows = 0;      // 1, 2 or 4: a block-sparse constant (block_sparse.h); 0: dense
  std::span<const std::byte> data;  // constants only; points into the artifact

  bool is_sparse() const { return block_rows != 0; }

  // C4P in memory; every other tensor is plain: dense, row-major, in its own dtype.
  bool is_quantized() const { return scale != 0; }

  template <class T>
  std::span<const T> values() const noexcept {  // data is 64-byte aligned in the artifact
    return {reinterpret_cast<const T*>(data.data()), data.size() / sizeof(T)};
  }
};

struct Node {
  OpCode op = OpCode::quantize;
  std::string name;
  std::vector<std::uint32_t> inputs, outputs;  // tensor indices
  std::vector<std::int32_t> attributes;
};

struct Model {
  std::vector<Tensor> tensors;
  std::vector<Node> nodes;  // in execution order
  std::vector<std::uint32_t> inputs, outputs;
  std::string metadata, telemetry;  // JSON; telemetry may be absent

  std::int64_t declared_batch = 1;  // 0 if it is free; else dim 0 of the quantized activations, 1 if there are none
  bool has_free_batch() const { return declared_batch == 0; }
};

}  // namespace edgeml
