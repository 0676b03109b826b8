// SPDX-License-Identifier: Apache-2.0
// Graph section and constants section -> Model (artifact-format.md, sections 3 and 4).
#pragma once

#include <cstddef>
#include <span>

#include "base/result.h"
#include "model/model.h"

namespace edgeml {

Result<Model> read_graph(std::span<const std::byte> graph, std::span<const std::byte> constants);

}  // namespace edgeml
