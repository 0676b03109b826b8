// SPDX-License-Identifier: Apache-2.0
// The plan against a second, slow algorithm: a map of the arena, byte by byte, of who owns what, step after step.
#include "plan/execution_plan.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "cpu/cpu_features.h"
#include "model/artifact_bytes.h"
#include "model/reader.h"
#include "ops/layer_cost.h"
#include "ops/layout.h"

namespace edgeml {
namespace {

struct Loaded {
  Result<ArtifactBytes> bytes = ArtifactBytes::map(std::string(EDGEML_GOLDEN_DIR) + "/every_operator.edgeml");
  Result<Model> model = read_artifact(bytes.value().bytes());
  std::vector<std::unique_ptr<Operator>> operators;

  explicit Loaded(Isa isa) {
    const kernels::KernelTable table = kernels::choose_kernels(detect_cpu_features(), isa);
    for (const Node& node : model.value().nodes) {
      operators.push_back(std::move(make_operator({model.value(), node, table, default_layer_rates(isa)})).value());
    }
  }
  Result<ExecutionPlan> plan(std::int64_t batch, std::int64_t bytes_max = INT32_MAX) const {
    return make_plan(model.value(), operators, batch, bytes_max);
  }
};

// Marks every byte with the tensor (or, below -1, the node's workspace) that was written there last, and at each read
// looks whether the bytes are still the tensor's own. Knows nothing of lifetimes or blocks but offsets.
void check_by_map(const Loaded& loaded, const ExecutionPlan& plan) {
  const Model& model = loaded.model.value();
  constexpr std::int64_t kNobody = -1;
  std::vector<std::int64_t> owner(static_cast<std::size_t>(plan.arena_bytes), kNobody);
  const auto each_byte = [&](std::int32_t block, std::int64_t bytes, const auto& visit) {
    if (block == ExecutionPlan::kNoBlock) return;
    const std::int64_t offset = plan.blocks[static_cast<std::size_t>(block)].offset;
    REQUIRE(offset % 64 == 0);
    REQUIRE(offset + bytes <= plan.arena_bytes);
    for (std::int64_t i = offset; i < offset + bytes; ++i) visit(owner[static_cast<std::size_t>(i)]);
  };
  const auto bytes_of = [&](std::uint32_t tensor) { return *tensor_bytes_of(model.tensors[tensor], plan.batch); };
  const auto write = [&](std::uint32_t tensor) {
    each_byte(plan.tensor_block[tensor], bytes_of(tensor), [&](std::int64_t& who) { who = tensor; });
  };
  const auto check_read = [&](std::uint32_t tensor) {
    bool intact = true;
    each_byte(plan.tensor_block[tensor], bytes_of(tensor), [&](std::int64_t& who) { intact &= who == tensor; });
    INFO("tensor ", model.tensors[tensor].name);
    CHECK(intact);
  };
  for (const std::uint32_t input : model.inputs) write(input);
  for (std::size_t i = 0; i < model.nodes.size(); ++i) {
    const Node& node = model.nodes[i];
    const auto mark = -2 - static_cast<std::int64_t>(i);
    each_byte(plan.workspace_block[i], loaded.operators[i]->workspace().shared, [&](std::int64_t& who) { who = mark; });
    for (const std::uint32_t input : node.inputs) {
      if (!model.tensors[input].is_constant) check_read(input);
    }
    write(node.outputs[0]);
    bool workspace_intact = true;
    each_byte(plan.workspace_block[i], loaded.operators[i]->workspace().shared,
              [&](std::int64_t& who) { workspace_intact &= who == mark; });
    CHECK(workspace_intact);
  }
  for (const std::uint32_t output : model.outputs) check_read(output);
}

TEST_CASE("nothing live is overwritten") {
  const Loaded loaded(Isa::ref);
  for (const std::int64_t batch : {1, 2, 7, 64}) {
    CAPTURE(batch);
    const Result<ExecutionPlan> plan = loaded.plan(batch);
    REQUIRE(plan.ok());
    check_by_map(loaded, plan.value());
  }
}

TEST_CASE("the lower bound is what lives at the fullest node, and no plan is below it") {
  const Loaded loaded(Isa::ref);
  for (const std::int64_t batch : {1, 3, 64}) {
    const ExecutionPlan plan = loaded.plan(batch).value();
    std::int64_t most = 0;
    for (std::int64_t at = -1; at <= static_cast<std::int64_t>(loaded.model.value().nodes.size()); ++at) {
      std::int64_t bytes = 0;
      for (const Block& block : plan.blocks) bytes += block.first <= at && at <= block.last ? block.bytes : 0;
      most = std::max(most, bytes);
    }
    CHECK(plan.live_bytes_max == most);
    CHECK(plan.arena_bytes >= most);
  }
}

TEST_CASE("every tensor of the arena and every workspace is in one planned block") {
  const Loaded loaded(Isa::ref);
  const Model& model = loaded.model.value();
  const ExecutionPlan plan = loaded.plan(1).value();
  const std::vector<PlannedBlock> blocks = planned_blocks(plan, model);
  std::size_t tensors = 0;
  std::size_t workspaces = 0;
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    CHECK(blocks[i].block == plan.blocks[i]);
    CHECK(blocks[i].tensors.empty() != blocks[i].workspace_of.empty());
    tensors += blocks[i].tensors.size();
    workspaces += blocks[i].workspace_of.empty() ? 0 : 1;
  }
  const auto in_arena = [](std::int32_t block) { return block != ExecutionPlan::kNoBlock; };
  CHECK(std::cmp_equal(tensors, std::count_if(plan.tensor_block.begin(), plan.tensor_block.end(), in_arena)));
  CHECK(std::cmp_equal(workspaces, std::count_if(plan.workspace_block.begin(), plan.workspace_block.end(), in_arena)));
}

TEST_CASE("the plan is the same on every level of this machine") {
  const Result<ExecutionPlan> reference = Loaded(Isa::ref).plan(3);
  for (const Isa isa : isas_of(detect_cpu_features())) {
    CAPTURE(isa_name(isa));
    CHECK(Loaded(isa).plan(3).value() == reference.value());
  }
}

TEST_CASE("a plan beyond the limit is refused, whatever the batch") {
  const Loaded loaded(Isa::ref);
  const std::int64_t bytes = loaded.plan(1).value().arena_bytes;
  CHECK(loaded.plan(1, bytes).ok());
  for (const auto& [batch, limit] :
       {std::pair<std::int64_t, std::int64_t>{1, bytes - 1}, {INT32_MAX, INT32_MAX}, {INT64_MAX, INT64_MAX}}) {
    const Result<ExecutionPlan> plan = loaded.plan(batch, limit);
    REQUIRE_FALSE(plan.ok());
    CHECK(plan.error().code == ErrorCode::arena_too_large);
  }
}

}  // namespace
}  // namespace edgeml
