// SPDX-License-Identifier: Apache-2.0
// Runs one .edgeml artifact. What can fail, fails in open() and bind(); execute() fails only where the
// model takes an index from data and that index is outside its tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "edgeml/error.h"
#include "edgeml/layer_rates.h"
#include "edgeml/tensor.h"

namespace edgeml {

inline constexpr std::int64_t kArenaBytesMax = (std::int64_t{1} << 31) - 1;
inline constexpr int kThreadsMax = 256;

struct SessionOptions {
  int threads = 1;                 // 1..kThreadsMax; 0: as many as the CPU set and the cgroup quota allow
  std::optional<std::string> isa;  // name of isa.def; default: the best that the machine has
  std::int64_t arena_bytes_max = kArenaBytesMax;
  std::optional<LayerRates> rates = {};  // measured on this machine; default: those of the ISA level
};

// What one node cost; from profile().
struct NodeProfile {
  std::string name;
  std::string op;
  std::string kernel;            // symbol of kernels.def, "" where the operator only moves bytes
  std::string output_dims;       // of the bound batch, "1x32x112x112"
  std::int64_t macs = 0;         // of the bound batch
  std::int64_t duration_ns = 0;  // median over the runs
};

// A block of the arena, and the nodes, first to last, that need it: -1 from before the first node, the number of nodes
// to after the last.
struct ArenaBlock {
  std::vector<std::string> tensors;  // that stand in it one after another; empty: it is the workspace of a node
  std::string workspace_of;
  std::int64_t offset = 0;
  std::int64_t bytes = 0;
  std::int64_t first = 0;
  std::int64_t last = 0;
};

class InferenceSession {
 public:
  static Result<InferenceSession> open(const std::string& path, const SessionOptions& options);
  static Result<InferenceSession> open(std::span<const std::byte> bytes, const SessionOptions& options);

  InferenceSession(InferenceSession&&) noexcept;
  InferenceSession& operator=(InferenceSession&&) noexcept;
  ~InferenceSession();

  const std::vector<TensorInfo>& inputs() const noexcept;
  const std::vector<TensorInfo>& outputs() const noexcept;
  const std::string& metadata() const noexcept;   // JSON of the artifact
  const std::string& telemetry() const noexcept;  // JSON of the artifact, "" if it has none
  const std::string& isa() const noexcept;
  int threads() const noexcept;

  // Plans and allocates for a batch of this size; does nothing when it is bound already. A session of fixed batch is
  // bound to it from the start, one of free batch to 1.
  Status bind(std::int64_t batch);
  std::int64_t batch() const noexcept;
  std::int64_t declared_batch() const noexcept;  // 0 if it is free

  // Bytes of the arena for the bound batch; the most bytes that live at once, below which no arena can be; its blocks;
  // the plan as text.
  std::int64_t arena_bytes() const noexcept;
  std::int64_t live_bytes_max() const noexcept;
  std::vector<ArenaBlock> arena_blocks() const;
  std::string plan_text() const;
  std::int64_t macs_per_sample() const noexcept;
  std::int64_t packed_weight_bytes() const noexcept;

  // Runs the bound batch. inputs[i] and outputs[i] are dense row-major arrays of the shape and dtype of inputs()[i] and
  // outputs()[i] with the bound batch, aligned as their elements. Not for two threads at once. No lock, and no
  // allocation but for the sentence of an error. After an error the outputs hold whatever was computed.
  Status execute(std::span<const void* const> inputs, std::span<void* const> outputs) noexcept;

  // Runs `runs` times and gives the median of each node, in execution order.
  std::vector<NodeProfile> profile(std::span<const void* const> inputs, std::span<void* const> outputs, int runs);

  struct Impl;

 private:
  explicit InferenceSession(std::unique_ptr<Impl> impl);
  static Result<InferenceSession> from(Result<std::unique_ptr<Impl>> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace edgeml
