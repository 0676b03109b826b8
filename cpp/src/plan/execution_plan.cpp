// SPDX-License-Identifier: Apache-2.0
#include "plan/execution_plan.h"

#include <algorithm>
#include <numeric>

#include "base/int_math.h"
#include "ops/layout.h"

namespace edgeml {
namespace {

constexpr std::int64_t kBlockBytesMax = INT64_MAX / 4;  // so that sums of offsets and sizes cannot overflow

bool contains(const std::vector<std::uint32_t>& list, std::uint32_t value) {
  return std::find(list.begin(), list.end(), value) != list.end();
}

// By tensor: the last node that reads it; number of nodes for graph outputs.
std::vector<std::int64_t> last_uses(const Model& model) {
  std::vector<std::int64_t> last(model.tensors.size(), -1);
  for (std::size_t i = 0; i < model.nodes.size(); ++i) {
    for (const std::uint32_t input : model.nodes[i].inputs) last[input] = static_cast<std::int64_t>(i);
    const std::uint32_t output = model.nodes[i].outputs[0];
    last[output] = std::max(last[output], static_cast<std::int64_t>(i));  // a result that nobody reads still needs room
  }
  for (const std::uint32_t output : model.outputs) last[output] = static_cast<std::int64_t>(model.nodes.size());
  return last;
}

// First fit: the lowest offset at which a block meets none that lives at the same time. Returns the arena's size.
std::int64_t place_in_order(std::vector<Block>& blocks, const std::vector<std::size_t>& order) {
  std::vector<const Block*> placed;  // by offset
  std::int64_t arena = 0;
  for (const std::size_t index : order) {
    Block& block = blocks[index];
    std::int64_t offset = 0;
    for (const Block* other : placed) {
      if (other->offset >= offset + block.bytes) break;
      const bool together = other->first <= block.last && block.first <= other->last;
      if (together) offset = std::max(offset, round_up(other->offset + other->bytes, 64));
    }
    block.offset = offset;
    arena = std::max(arena, offset + block.bytes);
    const auto above = [](const Block* a, const Block* b) { return a->offset < b->offset; };
    placed.insert(std::upper_bound(placed.begin(), placed.end(), &block, above), &block);
  }
  return arena;
}

std::int64_t most_live_bytes(const std::vector<Block>& blocks) {
  std::int64_t most = 0;
  for (const Block& at : blocks) {  // what is needed grows only where a block comes to life
    std::int64_t bytes = 0;
    for (const Block& block : blocks) {
      if (block.first <= at.first && at.first <= block.last) bytes += block.bytes;
    }
    most = std::max(most, bytes);
  }
  return most;
}

class Planner {
 public:
  Planner(const Model& model, std::int64_t batch) : model_(model), last_use_(last_uses(model)) {
    plan_.batch = batch;
    plan_.tensor_block.assign(model.tensors.size(), ExecutionPlan::kNoBlock);
    plan_.workspace_block.assign(model.nodes.size(), ExecutionPlan::kNoBlock);
  }

  Status add_inputs() {
    for (const std::uint32_t input : model_.inputs) {
      if (!is_callers_array(model_, input)) EDGEML_RETURN_IF_ERROR(add_tensor(input, -1));
    }
    return Done{};
  }

  Status add_node(std::size_t i, const Operator& op) {
    const std::uint32_t output = model_.nodes[i].outputs[0];
    const auto at = static_cast<std::int64_t>(i);
    if (!is_callers_array(model_, output) && !share_dead_input(model_.nodes[i], op, at)) {
      EDGEML_RETURN_IF_ERROR(add_tensor(output, at));
    }
    const std::int64_t shared = op.workspace().shared;
    if (shared > kBlockBytesMax) return too_large();
    if (shared > 0) {
      plan_.workspace_block[i] = static_cast<std::int32_t>(plan_.blocks.size());
      plan_.blocks.push_back({0, shared, at, at});
    }
    return Done{};
  }

  Result<ExecutionPlan> place(std::int64_t arena_bytes_max) {
    std::int64_t sum = 0;
    for (const Block& block : plan_.blocks) {
      if (__builtin_add_overflow(sum, round_up(block.bytes, 64), &sum)) return too_large();
    }
    std::vector<std::size_t> order(plan_.blocks.size());
    std::iota(order.begin(), order.end(), std::size_t{0});  // blocks come to life in this order
    std::vector<Block> by_breadth = plan_.blocks;
    const std::int64_t breadth_bytes = place_in_order(by_breadth, order);
    const auto larger = [this](std::size_t a, std::size_t b) { return plan_.blocks[a].bytes > plan_.blocks[b].bytes; };
    std::stable_sort(order.begin(), order.end(), larger);
    std::vector<Block> by_size = plan_.blocks;
    const std::int64_t size_bytes = place_in_order(by_size, order);
    plan_.blocks = breadth_bytes < size_bytes ? std::move(by_breadth) : std::move(by_size);
    plan_.arena_bytes = std::min(breadth_bytes, size_bytes);
    if (plan_.arena_bytes > arena_bytes_max) return too_large();
    plan_.live_bytes_max = most_live_bytes(plan_.blocks);
    return std::move(plan_);
  }

 private:
  Error too_large() const {
    return fail(ErrorCode::arena_too_large, "a batch of ", plan_.batch,
                " needs an arena above the limit; run smaller batches");
  }

  Status add_tensor(std::uint32_t tensor, std::int64_t first) {
    const Tensor& t = model_.tensors[tensor];
    const auto bytes = tensor_bytes_of(t, plan_.batch);
    if (!bytes || *bytes > kBlockBytesMax) return too_large();
    plan_.tensor_block[tensor] = static_cast<std::int32_t>(plan_.blocks.size());
    plan_.blocks.push_back({0, *bytes, first, last_use_[tensor]});
    return Done{};
  }

  bool share_dead_input(const Node& node, const Operator& op, std::int64_t at) {
    const std::uint32_t output = node.outputs[0];
    const Tensor& y = model_.tensors[output];
    for (std::int32_t k = 0; k < op.in_place_inputs(); ++k) {
      const std::uint32_t input = node.inputs[static_cast<std::size_t>(k)];
      const Tensor& x = model_.tensors[input];
      const std::int32_t index = plan_.tensor_block[input];
      if (index == ExecutionPlan::kNoBlock || x.dtype != y.dtype) continue;
      if (tensor_bytes_of(x, plan_.batch) != tensor_bytes_of(y, plan_.batch)) continue;
      Block& block = plan_.blocks[static_cast<std::size_t>(index)];
      if (block.last != at) continue;  // the block's life, not the tensor's: another tensor may share it already
      plan_.tensor_block[output] = index;
      block.last = last_use_[output];
      return true;
    }
    return false;
  }

  const Model& model_;
  std::vector<std::int64_t> last_use_;
  ExecutionPlan plan_;
};

void append_line(std::string& out, std::string_view what, const Block& block, std::int64_t nodes) {
  const auto node = [nodes](std::int64_t at) {
    return at < 0 ? std::string("input") : at >= nodes ? std::string("output") : std::to_string(at);
  };
  out += text(what, ": ", block.bytes, " bytes at ", block.offset, ", nodes ", node(block.first), "..",
              node(block.last), "\n");
}

}  // namespace

bool is_callers_array(const Model& model, std::uint32_t tensor) {
  return !model.tensors[tensor].is_quantized() && (contains(model.inputs, tensor) || contains(model.outputs, tensor));
}

Result<ExecutionPlan> make_plan(const Model& model, std::span<const std::unique_ptr<Operator>> operators,
                                std::int64_t batch, std::int64_t arena_bytes_max) {
  Planner planner(model, batch);
  EDGEML_RETURN_IF_ERROR(planner.add_inputs());
  for (std::size_t i = 0; i < operators.size(); ++i) EDGEML_RETURN_IF_ERROR(planner.add_node(i, *operators[i]));
  return planner.place(arena_bytes_max);
}

std::vector<PlannedBlock> planned_blocks(const ExecutionPlan& plan, const Model& model) {
  std::vector<PlannedBlock> planned(plan.blocks.size());
  for (std::size_t i = 0; i < planned.size(); ++i) planned[i].block = plan.blocks[i];
  const auto hold = [&](std::uint32_t tensor) {
    const std::int32_t block = plan.tensor_block[tensor];
    if (block != ExecutionPlan::kNoBlock)
      planned[static_cast<std::size_t>(block)].tensors.push_back(model.tensors[tensor].name);
  };
  for (const std::uint32_t input : model.inputs) hold(input);
  for (std::size_t i = 0; i < model.nodes.size(); ++i) {
    hold(model.nodes[i].outputs[0]);
    const std::int32_t block = plan.workspace_block[i];
    if (block != ExecutionPlan::kNoBlock) planned[static_cast<std::size_t>(block)].workspace_of = model.nodes[i].name;
  }
  return planned;
}

std::string to_text(const ExecutionPlan& plan, const Model& model) {
  std::string out =
      text("arena: ", plan.arena_bytes, " bytes, at least ", plan.live_bytes_max, ", batch ", plan.batch, "\n");
  const auto nodes = static_cast<std::int64_t>(model.nodes.size());
  const auto append = [&](const std::string& what, std::int32_t block) {
    if (block != ExecutionPlan::kNoBlock) append_line(out, what, plan.blocks[static_cast<std::size_t>(block)], nodes);
  };
  for (std::size_t i = 0; i < model.tensors.size(); ++i)
    append("tensor " + model.tensors[i].name, plan.tensor_block[i]);
  for (std::size_t i = 0; i < model.nodes.size(); ++i)
    append("workspace of " + model.nodes[i].name, plan.workspace_block[i]);
  return out;
}

}  // namespace edgeml
