// SPDX-License-Identifier: Apache-2.0
// operators.def as values.
#include <array>

#include "model/model.h"

namespace edgeml {
namespace {

constexpr std::array kOpInfos = {
#define EDGEML_OP(code, name, inputs_min, inputs_max, attributes, from_onnx, quantization) \
  OpInfo{OpCode::name, #name, inputs_min, inputs_max, attributes, from_onnx, #quantization},
#include "model/operators.def"
#undef EDGEML_OP
};

}  // namespace

std::span<const OpInfo> op_infos() noexcept { return kOpInfos; }

const OpInfo* find_op_info(std::uint32_t code) noexcept {
  for (const OpInfo& info : kOpInfos) {
    if (static_cast<std::uint32_t>(info.code) == code) return &info;
  }
  return nullptr;
}

}  // namespace edgeml
