// SPDX-License-Identifier: Apache-2.0
// The expansion of operators.def that makes operators.
#include "ops/operator.h"

namespace edgeml {

OperatorResult make_operator(const OperatorContext& context) {
  switch (context.node.op) {
#define EDGEML_OP(code, name, inputs_min, inputs_max, attributes, from_onnx, quantization) \
  case OpCode::name:                                                                       \
    return make_##name(context);
#include "model/operators.def"
#undef EDGEML_OP
  }
  return fail(ErrorCode::unknown_operator, "node \"", context.node.name, "\" has an operator that this build lacks");
}

}  // namespace edgeml
