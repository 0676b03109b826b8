// SPDX-License-Identifier: Apache-2.0
// What the plan and the session know of an operator: made once (checked, prepacked), bound to a batch, run.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/result.h"
#include "edgeml/layer_rates.h"
#include "kernels/kernel_table.h"
#include "model/model.h"
#include "ops/parallel.h"

namespace edgeml {

// Scratch of one node beside its tensors, in bytes; both are multiples of 64. The shared part is the same on every ISA,
// since it is planned; what a kernel or a thread wants for itself is per_thread.
struct Workspace {
  std::int64_t shared = 0;
  std::int64_t per_thread = 0;
};

// One execution: where the tensors are, by tensor index: arena, the caller's arrays, or the session's copy of a
// constant (null for constants that only prepacking operators read).
struct Run {
  std::span<std::byte* const> tensors;
  std::byte* workspace;       // the shared part, in the arena
  std::byte* scratch;         // one part per thread, after the arena
  std::int64_t scratch_step;  // bytes from one thread's part to the next
  std::int64_t batch;
  Parallel parallel;
  std::atomic<std::int32_t>* fault;  // the first node that met an index outside its tensor; -1: none has
  std::int32_t node;                 // the one that runs

  void report_bad_index() const noexcept {
    std::int32_t none = -1;
    fault->compare_exchange_strong(none, node);
  }

  std::byte* scratch_of(std::int32_t thread) const { return scratch + thread * scratch_step; }

  template <class T>
  T* tensor(std::uint32_t index) const {
    return reinterpret_cast<T*>(tensors[index]);
  }
};

class Operator {
 public:
  Operator() = default;
  virtual ~Operator() = default;
  Operator(const Operator&) = delete;
  Operator& operator=(const Operator&) = delete;

  virtual void run(const Run& run) const noexcept = 0;

  virtual Workspace workspace() const { return {}; }
  // How many of the first inputs the output may take the memory of, where such an input is dead after this node.
  virtual std::int32_t in_place_inputs() const { return 0; }
  virtual const char* kernel() const { return ""; }           // symbol of kernels.def
  virtual std::int64_t macs_per_sample() const { return 0; }  // multiply-accumulates of the network, not of padding
  virtual std::int64_t work_per_sample() const { return macs_per_sample(); }  // steps of the inner loop, to bound time
  virtual std::int64_t packed_weight_bytes() const { return 0; }
  virtual bool reads_constants() const { return false; }  // while it runs, from the session's copies
};

struct OperatorContext {
  const Model& model;
  const Node& node;
  const kernels::KernelTable& kernels;
  const LayerRates& rates;

  const Tensor& input(std::size_t i) const { return model.tensors[node.inputs[i]]; }
  const Tensor& output() const { return model.tensors[node.outputs[0]]; }
  std::int32_t attribute(std::size_t i) const { return node.attributes[i]; }
};

using OperatorResult = Result<std::unique_ptr<Operator>>;

// make_<operator>: checks the rules of artifact-format.md, section 5, and prepacks; one file of ops/ each.
#define EDGEML_OP(code, name, inputs_min, inputs_max, attributes, from_onnx, quantization) \
  OperatorResult make_##name(const OperatorContext& context);
#include "model/operators.def"
#undef EDGEML_OP

OperatorResult make_operator(const OperatorContext& context);

}  // namespace edgeml
