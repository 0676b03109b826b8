// SPDX-License-Identifier: Apache-2.0
// Where every activation and every shared workspace stands in the one arena, for one batch size. A plain value: the
// same for the same model and batch on every machine, ISA level and number of threads; printable.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/result.h"
#include "model/model.h"
#include "ops/operator.h"

namespace edgeml {

// A block of the arena and the nodes, first to last, during which it is needed.
struct Block {
  std::int64_t offset = 0;
  std::int64_t bytes = 0;
  std::int64_t first = 0;  // -1: from before the first node (a graph input)
  std::int64_t last = 0;   // number of nodes: to after the last one (a graph output)

  bool operator==(const Block&) const = default;
};

struct ExecutionPlan {
  static constexpr std::int32_t kNoBlock = -1;

  std::int64_t batch = 0;
  std::int64_t arena_bytes = 0;
  std::int64_t live_bytes_max = 0;  // the most bytes that are needed at one node: no placement has a smaller arena
  std::vector<Block> blocks;
  std::vector<std::int32_t> tensor_block;     // by tensor; kNoBlock: a constant, or an array of the caller
  std::vector<std::int32_t> workspace_block;  // by node; kNoBlock: the node needs none

  bool operator==(const ExecutionPlan&) const = default;
};

// True if the tensor is not in the arena but in an array of the caller: plain inputs and outputs of the graph.
bool is_callers_array(const Model& model, std::uint32_t tensor);

// Liveness, sharing of dead inputs' memory, then first-fit placement in two orders, of which the smaller arena is kept:
//   by size     largest block first
//   by breadth  in the order in which blocks come to life
Result<ExecutionPlan> make_plan(const Model& model, std::span<const std::unique_ptr<Operator>> operators,
                                std::int64_t batch, std::int64_t arena_bytes_max);

// What a block holds: the tensors that share it, in order of their nodes, or the workspace of a node.
struct PlannedBlock {
  std::vector<std::string> tensors;
  std::string workspace_of;
  Block block;
};
std::vector<PlannedBlock> planned_blocks(const ExecutionPlan& plan, const Model& model);

// One line per tensor and scratch area: bytes, offset, lifetime.
std::string to_text(const ExecutionPlan& plan, const Model& model);

}  // namespace edgeml
