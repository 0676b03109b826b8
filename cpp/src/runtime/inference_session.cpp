// SPDX-License-Identifier: Apache-2.0
#include "edgeml/inference_session.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <system_error>
#include <utility>

#include "base/aligned_buffer.h"
#include "cpu/cpu_features.h"
#include "cpu/float_environment.h"
#include "kernels/kernel_table.h"
#include "model/artifact_bytes.h"
#include "model/reader.h"
#include "ops/layer_cost.h"
#include "ops/operator.h"
#include "plan/execution_plan.h"
#include "runtime/cpu_quota.h"
#include "runtime/port_copy.h"
#include "runtime/thread_pool.h"

namespace edgeml {
namespace {

constexpr std::int64_t kSampleWorkMax = std::int64_t{1} << 40;  // artifact-format.md, section 7

Result<Isa> choose_isa(const std::optional<std::string>& wanted, const CpuFeatures& features) {
  if (!wanted) return isas_of(features).front();
  const std::optional<Isa> isa = isa_from_name(*wanted);
  std::string runs;
  for (const Isa level : isas_of(features)) runs += text(runs.empty() ? "" : ", ", isa_name(level));
  if (!isa) return fail(ErrorCode::unknown_isa, "isa ", *wanted, " is not a level of edgeml; this machine runs ", runs);
  if (!isa_runs_on(*isa, features))
    return fail(ErrorCode::isa_unavailable, "isa ", *wanted, ": this machine runs ", runs);
  return *isa;
}

TensorInfo describe(const Tensor& tensor) {
  return {tensor.name, tensor.dtype, tensor.dims, tensor.scale, tensor.zero_point};
}

std::string show(const Dims& dims, std::int64_t batch) {
  std::string out;
  for (std::int32_t axis = 0; axis < dims.rank; ++axis)
    out += text(axis == 0 ? "" : "x", axis == 0 && dims[axis] == 0 ? batch : dims[axis]);
  return out.empty() ? "scalar" : out;
}

}  // namespace

struct InferenceSession::Impl {
  Model model;  // without the constants' data, which the operators or `constants` have taken over
  std::vector<std::pair<std::uint32_t, AlignedBuffer>> constants;  // tensor -> what operators read while they run
  std::vector<std::unique_ptr<Operator>> operators;
  std::vector<TensorInfo> inputs, outputs;
  std::string isa;
  std::int64_t arena_bytes_max = kArenaBytesMax;
  std::unique_ptr<ThreadPool> pool;

  ExecutionPlan plan;
  AlignedBuffer arena;                 // the plan's bytes, then scratch_step bytes for each thread
  std::int64_t scratch_step = 0;       // the most that any operator wants for a thread
  std::vector<std::byte*> tensors;     // addresses by tensor: in the arena now, of the caller's arrays during a run
  std::vector<std::byte*> workspaces;  // by node

  // Runs every node; after_node(i) after each. Gives the node that met a bad index, -1 if none has.
  template <class AfterNode>
  std::int32_t run_nodes(std::span<const void* const> in, std::span<void* const> out,
                         const AfterNode& after_node) noexcept {
    const FloatEnvironment environment;
    // Float inputs are only read; one address table serves inputs and outputs.
    for (std::size_t i = 0; i < in.size(); ++i) {
      const std::uint32_t tensor = model.inputs[i];
      if (is_callers[tensor]) {
        tensors[tensor] = const_cast<std::byte*>(static_cast<const std::byte*>(in[i]));
      } else {
        import_s8(static_cast<const std::int8_t*>(in[i]), Layout(model.tensors[tensor].dims), plan.batch,
                  address<kernels::act_t>(tensor));
      }
    }
    for (std::size_t i = 0; i < out.size(); ++i) {
      if (is_callers[model.outputs[i]]) tensors[model.outputs[i]] = static_cast<std::byte*>(out[i]);
    }
    std::atomic<std::int32_t> fault{-1};
    Run run{tensors,      nullptr,    arena.data() + round_up(plan.arena_bytes, 64),
            scratch_step, plan.batch, {&parallel_for, pool.get(), pool->threads()},
            &fault,       0};
    pool->begin_run();
    for (std::size_t i = 0; i < operators.size(); ++i) {
      run.workspace = workspaces[i];
      run.node = static_cast<std::int32_t>(i);
      operators[i]->run(run);
      after_node(i);
    }
    pool->end_run();
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::uint32_t tensor = model.outputs[i];
      if (!is_callers[tensor])
        export_s8(address<kernels::act_t>(tensor), Layout(model.tensors[tensor].dims), plan.batch,
                  static_cast<std::int8_t*>(out[i]));
    }
    return fault.load();
  }

  static void parallel_for(void* opaque, std::int32_t count, Parallel::Task task, void* context) noexcept {
    static_cast<ThreadPool*>(opaque)->parallel_for(count, task, context);
  }

  template <class T>
  T* address(std::uint32_t tensor) const {
    return reinterpret_cast<T*>(tensors[tensor]);
  }

  std::vector<bool> is_callers;  // by tensor
};

namespace {

Status start_threads(int wanted, std::unique_ptr<ThreadPool>& pool) {
  if (wanted < 0 || wanted > kThreadsMax) {
    return fail(ErrorCode::bad_thread_count, "threads is ", wanted, ", expected 0 (as many as the machine gives) to ",
                kThreadsMax);
  }
  const int threads = wanted == 0 ? std::min(usable_cpus(), kThreadsMax) : wanted;
  // The one thing of the standard library here that reports by an exception.
  try {
    pool = std::make_unique<ThreadPool>(threads);
  } catch (const std::system_error&) {
    return fail(ErrorCode::thread_start_failed, "the system starts no more threads; ask for fewer than ", threads);
  }
  return Done{};
}

Result<std::vector<std::unique_ptr<Operator>>> make_operators(const Model& model, const kernels::KernelTable& table,
                                                              const LayerRates& rates) {
  std::vector<std::unique_ptr<Operator>> operators;
  for (const Node& node : model.nodes) {
    OperatorResult op = make_operator({model, node, table, rates});
    if (!op.ok()) return op.error();
    operators.push_back(std::move(op).value());
  }
  return operators;
}

// Copies what operators read while they run; many nodes may share one constant.
Status copy_constants(InferenceSession::Impl& impl) {
  std::vector<bool> copied(impl.model.tensors.size());
  for (std::size_t i = 0; i < impl.operators.size(); ++i) {
    if (!impl.operators[i]->reads_constants()) continue;
    for (const std::uint32_t input : impl.model.nodes[i].inputs) {
      const Tensor& tensor = impl.model.tensors[input];
      if (!tensor.is_constant || copied[input]) continue;
      copied[input] = true;
      AlignedBuffer buffer = AlignedBuffer::allocate(static_cast<std::int64_t>(tensor.data.size()));
      if (buffer.empty()) return fail(ErrorCode::out_of_memory, "no memory for the constants of the model");
      std::memcpy(buffer.data(), tensor.data.data(), tensor.data.size());
      impl.constants.emplace_back(input, std::move(buffer));
    }
  }
  return Done{};
}

// A hostile file must not keep a device busy for hours: bounds what one sample costs, for nodes without an
// inner loop by the elements that they write.
Status check_work(const Model& model, std::span<const std::unique_ptr<Operator>> operators) {
  std::int64_t left = kSampleWorkMax;
  for (std::size_t i = 0; i < operators.size(); ++i) {
    const std::int64_t work =
        std::max(operators[i]->work_per_sample(), model.tensors[model.nodes[i].outputs[0]].dims.elements_per_sample());
    if (work > left) {
      return fail(ErrorCode::too_much_work, "node \"", model.nodes[i].name,
                  "\": a sample needs more than 2^40 operations");
    }
    left -= work;
  }
  return Done{};
}

}  // namespace

// Everything of an artifact that a session keeps is a copy or a prepacked form: the bytes may go afterwards.
static Result<std::unique_ptr<InferenceSession::Impl>> open_bytes(std::span<const std::byte> bytes,
                                                                  const SessionOptions& options) {
  const CpuFeatures features = detect_cpu_features();
  const Result<Isa> isa = choose_isa(options.isa, features);
  if (!isa.ok()) return isa.error();
  Result<Model> model = read_artifact(bytes);
  if (!model.ok()) return model.error();
  auto impl = std::make_unique<InferenceSession::Impl>();
  Result<std::vector<std::unique_ptr<Operator>>> operators =
      make_operators(model.value(), kernels::choose_kernels(features, isa.value()),
                     options.rates ? *options.rates : default_layer_rates(isa.value()));
  if (!operators.ok()) return operators.error();
  impl->operators = std::move(operators).value();
  EDGEML_RETURN_IF_ERROR(check_work(model.value(), impl->operators));
  for (const auto& op : impl->operators) impl->scratch_step = std::max(impl->scratch_step, op->workspace().per_thread);
  impl->model = std::move(model).value();
  EDGEML_RETURN_IF_ERROR(copy_constants(*impl));
  for (Tensor& tensor : impl->model.tensors) tensor.data = {};
  for (const std::uint32_t input : impl->model.inputs) impl->inputs.push_back(describe(impl->model.tensors[input]));
  for (const std::uint32_t output : impl->model.outputs) impl->outputs.push_back(describe(impl->model.tensors[output]));
  for (std::uint32_t i = 0; i < impl->model.tensors.size(); ++i)
    impl->is_callers.push_back(is_callers_array(impl->model, i));
  impl->isa = isa_name(isa.value());
  impl->arena_bytes_max = options.arena_bytes_max;
  EDGEML_RETURN_IF_ERROR(start_threads(options.threads, impl->pool));
  return impl;
}

Result<InferenceSession> InferenceSession::open(const std::string& path, const SessionOptions& options) {
  const Result<ArtifactBytes> file = ArtifactBytes::map(path);
  if (!file.ok()) return file.error();
  return from(open_bytes(file.value().bytes(), options));
}

Result<InferenceSession> InferenceSession::open(std::span<const std::byte> bytes, const SessionOptions& options) {
  const Result<ArtifactBytes> copy = ArtifactBytes::copy(bytes);
  if (!copy.ok()) return copy.error();
  return from(open_bytes(copy.value().bytes(), options));
}

Result<InferenceSession> InferenceSession::from(Result<std::unique_ptr<Impl>> impl) {
  if (!impl.ok()) return impl.error();
  InferenceSession session(std::move(impl).value());
  const std::int64_t declared = session.impl_->model.declared_batch;
  EDGEML_RETURN_IF_ERROR(session.bind(declared == 0 ? 1 : declared));
  return session;
}

InferenceSession::InferenceSession(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
InferenceSession::InferenceSession(InferenceSession&&) noexcept = default;
InferenceSession& InferenceSession::operator=(InferenceSession&&) noexcept = default;
InferenceSession::~InferenceSession() = default;

const std::vector<TensorInfo>& InferenceSession::inputs() const noexcept { return impl_->inputs; }
const std::vector<TensorInfo>& InferenceSession::outputs() const noexcept { return impl_->outputs; }
const std::string& InferenceSession::metadata() const noexcept { return impl_->model.metadata; }
const std::string& InferenceSession::telemetry() const noexcept { return impl_->model.telemetry; }
const std::string& InferenceSession::isa() const noexcept { return impl_->isa; }
int InferenceSession::threads() const noexcept { return impl_->pool->threads(); }
std::int64_t InferenceSession::batch() const noexcept { return impl_->plan.batch; }
std::int64_t InferenceSession::declared_batch() const noexcept { return impl_->model.declared_batch; }
std::int64_t InferenceSession::arena_bytes() const noexcept { return impl_->plan.arena_bytes; }
std::int64_t InferenceSession::live_bytes_max() const noexcept { return impl_->plan.live_bytes_max; }
std::string InferenceSession::plan_text() const { return to_text(impl_->plan, impl_->model); }

std::vector<ArenaBlock> InferenceSession::arena_blocks() const {
  std::vector<ArenaBlock> blocks;
  for (PlannedBlock& planned : planned_blocks(impl_->plan, impl_->model)) {
    const Block& block = planned.block;
    blocks.push_back({std::move(planned.tensors), std::move(planned.workspace_of), block.offset, block.bytes,
                      block.first, block.last});
  }
  return blocks;
}

std::int64_t InferenceSession::macs_per_sample() const noexcept {
  std::int64_t macs = 0;
  for (const auto& op : impl_->operators) macs += op->macs_per_sample();
  return macs;
}

std::int64_t InferenceSession::packed_weight_bytes() const noexcept {
  std::int64_t bytes = 0;
  for (const auto& op : impl_->operators) bytes += op->packed_weight_bytes();
  return bytes;
}

Status InferenceSession::bind(std::int64_t batch) {
  Impl& impl = *impl_;
  if (batch == impl.plan.batch) return Done{};
  const std::int64_t declared = impl.model.declared_batch;
  if (batch < 1 || batch > INT32_MAX || (declared != 0 && batch != declared)) {
    return fail(ErrorCode::bad_batch, "a batch of ", batch, " cannot be run",
                declared == 0 ? "" : text(", the model takes ", declared));
  }
  Result<ExecutionPlan> plan = make_plan(impl.model, impl.operators, batch, impl.arena_bytes_max);
  if (!plan.ok()) return plan.error();
  const std::int64_t bytes = round_up(plan.value().arena_bytes, 64) + impl.scratch_step * impl.pool->threads();
  AlignedBuffer arena = AlignedBuffer::allocate(bytes);
  if (arena.empty()) return fail(ErrorCode::out_of_memory, "no memory for an arena of ", bytes, " bytes");
  impl.plan = std::move(plan).value();
  impl.arena = std::move(arena);
  const auto address = [&impl](std::int32_t block) {
    return block == ExecutionPlan::kNoBlock
               ? nullptr
               : impl.arena.data() + impl.plan.blocks[static_cast<std::size_t>(block)].offset;
  };
  impl.tensors.clear();
  impl.workspaces.clear();
  for (const std::int32_t block : impl.plan.tensor_block) impl.tensors.push_back(address(block));
  for (const auto& [tensor, buffer] : impl.constants) impl.tensors[tensor] = buffer.data();
  for (const std::int32_t block : impl.plan.workspace_block) impl.workspaces.push_back(address(block));
  return Done{};
}

Status InferenceSession::execute(std::span<const void* const> inputs, std::span<void* const> outputs) noexcept {
  const std::int32_t fault = impl_->run_nodes(inputs, outputs, [](std::size_t) {});
  if (fault < 0) return Done{};
  return fail(ErrorCode::index_out_of_range, "node \"", impl_->model.nodes[static_cast<std::size_t>(fault)].name,
              "\" got an index from the input data that is outside its tensor; check the indices that you pass");
}

std::vector<NodeProfile> InferenceSession::profile(std::span<const void* const> inputs, std::span<void* const> outputs,
                                                   int runs) {
  Impl& impl = *impl_;
  const std::size_t nodes = impl.operators.size();
  std::vector<std::vector<std::int64_t>> times(nodes);
  for (int run = 0; run < runs; ++run) {
    auto before = std::chrono::steady_clock::now();
    impl.run_nodes(inputs, outputs, [&](std::size_t i) {
      const auto now = std::chrono::steady_clock::now();
      times[i].push_back((now - before).count());
      before = now;
    });
  }
  std::vector<NodeProfile> profile;
  for (std::size_t i = 0; i < nodes; ++i) {
    const Node& node = impl.model.nodes[i];
    const auto middle = times[i].begin() + static_cast<std::ptrdiff_t>(times[i].size() / 2);
    std::nth_element(times[i].begin(), middle, times[i].end());
    profile.push_back({
        .name = node.name,
        .op = std::string(find_op_info(static_cast<std::uint32_t>(node.op))->name),
        .kernel = impl.operators[i]->kernel(),
        .output_dims = show(impl.model.tensors[node.outputs[0]].dims, impl.plan.batch),
        .macs = impl.operators[i]->macs_per_sample() * impl.plan.batch,
        .duration_ns = *middle,
    });
  }
  return profile;
}

}  // namespace edgeml
