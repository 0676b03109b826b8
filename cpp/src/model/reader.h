// SPDX-License-Identifier: Apache-2.0
// Bytes of an artifact -> Model, checking every rule of artifact-format.md, sections 1 to 4 and 7. The rules of section
// 5 are the operators' own (ops/check_model.h).
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "model/model.h"

namespace edgeml {

// bytes start at a multiple of 64 and outlive every use of Tensor::data of the model.
Result<Model> read_artifact(std::span<const std::byte> bytes);

}  // namespace edgeml
