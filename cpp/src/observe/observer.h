// SPDX-License-Identifier: Apache-2.0
// Counts what a model sees and says, by the features of its telemetry schema (docs/design/wire.md, section 1).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/counts.h"
#include "observe/bin_edges.h"

namespace edgeml {

enum class FeatureKind {
  value,
  channel_mean,
  channel_std,
  channel_clipped,
  class_index,  // `class` in the schema
  confidence,
  margin,
  entropy,
  latency_us,
};

std::optional<FeatureKind> feature_kind_from_name(std::string_view name) noexcept;

struct FeatureSpec {
  FeatureKind kind;
  int tensor = -1;  // index into the tensors of observe(); -1 for latency
  std::int64_t index = 0;
  float lo = 0, hi = 0;      // channel_clipped only
  std::vector<float> edges;  // at least 2, finite, strictly ascending
};

// Dense row-major float32 [samples, channels, inner]; a tensor of rank 1 or 2 has inner = 1.
struct TensorView {
  const float* data = nullptr;
  std::int64_t channels = 1;
  std::int64_t inner = 1;

  std::int64_t sample_elements() const noexcept { return channels * inner; }
};

class Observer {
 public:
  explicit Observer(std::span<const FeatureSpec> features);

  int tensor_count() const noexcept { return static_cast<int>(tensors_.size()); }
  std::int64_t slot_count() const noexcept { return static_cast<std::int64_t>(counts_.size()); }

  // Why observe() cannot count tensor number `tensor` of this form; "" if it can.
  std::string mismatch(int tensor, const TensorView& view) const;

  // Adds `samples` samples: each adds 1 to one slot of every feature. One view a tensor, in the order of the specs,
  // each without a mismatch(). Allocates nothing.
  void observe(std::span<const TensorView> tensors, std::int64_t samples, float latency_us) noexcept;

  // The counts since the last take(); starts again from zero.
  RawCounts take();

  // Adds counts that a take() of this schema gave and that could not be released, to the window that is being counted.
  void put_back(const RawCounts& raw) noexcept;

 private:
  struct Feature {
    FeatureKind kind;
    std::int64_t index;
    float lo, hi;
    BinEdges edges;
    std::int64_t first_slot;
  };
  struct Tensor {
    std::vector<Feature> values;    // kind value
    std::vector<Feature> channels;  // mean, std, clipped; those of one channel stand together
    std::vector<Feature> classes;   // class, confidence, margin, entropy
    std::int64_t elements_min = 1;
    std::int64_t channels_min = 1;
    bool any_entropy = false;
  };

  void count(const Feature& feature, float value, std::int64_t samples = 1) noexcept {
    counts_[static_cast<std::size_t>(feature.first_slot + feature.edges.slot(value))] += samples;
  }
  void count_channels(const Tensor& tensor, std::span<const float> sample, std::int64_t inner) noexcept;
  void count_classes(const Tensor& tensor, std::span<const float> sample) noexcept;

  std::vector<Tensor> tensors_;
  std::vector<Feature> latencies_;
  std::vector<std::int64_t> counts_;
};

}  // namespace edgeml
