// SPDX-License-Identifier: Apache-2.0
#include "observe/observer.h"

#include <algorithm>
#include <utility>

#include "observe/sample_values.h"

namespace edgeml {
namespace {

struct KindName {
  std::string_view name;
  FeatureKind kind;
};

constexpr KindName kKindNames[] = {
    {"value", FeatureKind::value},
    {"channel_mean", FeatureKind::channel_mean},
    {"channel_std", FeatureKind::channel_std},
    {"channel_clipped", FeatureKind::channel_clipped},
    {"class", FeatureKind::class_index},
    {"confidence", FeatureKind::confidence},
    {"margin", FeatureKind::margin},
    {"entropy", FeatureKind::entropy},
    {"latency_us", FeatureKind::latency_us},
};

}  // namespace

std::optional<FeatureKind> feature_kind_from_name(std::string_view name) noexcept {
  for (const KindName& row : kKindNames) {
    if (row.name == name) return row.kind;
  }
  return std::nullopt;
}

Observer::Observer(std::span<const FeatureSpec> features) {
  std::int64_t first_slot = 0;
  for (const FeatureSpec& spec : features) {
    Feature feature{spec.kind, spec.index, spec.lo, spec.hi, BinEdges(spec.edges), first_slot};
    first_slot += feature.edges.slot_count();
    if (spec.kind == FeatureKind::latency_us) {
      latencies_.push_back(std::move(feature));
      continue;
    }
    if (spec.tensor >= tensor_count()) tensors_.resize(static_cast<std::size_t>(spec.tensor) + 1);
    Tensor& tensor = tensors_[static_cast<std::size_t>(spec.tensor)];
    switch (spec.kind) {
      case FeatureKind::value:
        tensor.elements_min = std::max(tensor.elements_min, spec.index + 1);
        tensor.values.push_back(std::move(feature));
        break;
      case FeatureKind::channel_mean:
      case FeatureKind::channel_std:
      case FeatureKind::channel_clipped:
        tensor.channels_min = std::max(tensor.channels_min, spec.index + 1);
        tensor.channels.push_back(std::move(feature));
        break;
      default:
        tensor.any_entropy |= spec.kind == FeatureKind::entropy;
        tensor.classes.push_back(std::move(feature));
    }
  }
  for (Tensor& tensor : tensors_) {
    std::ranges::stable_sort(tensor.channels, {}, &Feature::index);
  }
  counts_.resize(static_cast<std::size_t>(first_slot));
}

std::string Observer::mismatch(int tensor, const TensorView& view) const {
  const Tensor& needs = tensors_[static_cast<std::size_t>(tensor)];
  if (view.sample_elements() < needs.elements_min) {
    return "a sample has " + std::to_string(view.sample_elements()) +
           " elements, the telemetry schema counts element " + std::to_string(needs.elements_min - 1);
  }
  if (view.channels < needs.channels_min) {
    return "it has " + std::to_string(view.channels) + " channels, the telemetry schema counts channel " +
           std::to_string(needs.channels_min - 1);
  }
  return "";
}

void Observer::observe(std::span<const TensorView> tensors, std::int64_t samples, float latency_us) noexcept {
  for (std::size_t t = 0; t < tensors_.size(); ++t) {
    const Tensor& tensor = tensors_[t];
    const TensorView& view = tensors[t];
    const auto elements = static_cast<std::size_t>(view.sample_elements());
    for (const Feature& feature : tensor.values) {
      feature.edges.count(view.data + feature.index, samples, view.sample_elements(),
                          counts_.data() + feature.first_slot);
    }
    if (tensor.channels.empty() && tensor.classes.empty()) continue;
    for (std::int64_t n = 0; n < samples; ++n) {
      const std::span<const float> sample{view.data + n * view.sample_elements(), elements};
      count_channels(tensor, sample, view.inner);
      count_classes(tensor, sample);
    }
  }
  for (const Feature& feature : latencies_) count(feature, latency_us, samples);
}

void Observer::count_channels(const Tensor& tensor, std::span<const float> sample, std::int64_t inner) noexcept {
  std::int64_t channel = -1;  // whose moments are known
  ChannelMoments moments{};
  for (const Feature& feature : tensor.channels) {
    const auto elements =
        sample.subspan(static_cast<std::size_t>(feature.index * inner), static_cast<std::size_t>(inner));
    if (feature.kind == FeatureKind::channel_clipped) {
      count(feature, clipped_share(elements, feature.lo, feature.hi));
      continue;
    }
    if (channel != feature.index) {
      moments = channel_moments(elements);
      channel = feature.index;
    }
    count(feature, feature.kind == FeatureKind::channel_mean ? moments.mean : moments.std);
  }
}

void Observer::count_classes(const Tensor& tensor, std::span<const float> sample) noexcept {
  if (tensor.classes.empty()) return;
  const ClassScores scores = class_scores(sample);
  const float nats = tensor.any_entropy ? entropy(sample) : 0.0F;
  for (const Feature& feature : tensor.classes) {
    switch (feature.kind) {
      case FeatureKind::class_index:
        count(feature, scores.best_class);
        break;
      case FeatureKind::confidence:
        count(feature, scores.confidence);
        break;
      case FeatureKind::margin:
        count(feature, scores.margin);
        break;
      default:
        count(feature, nats);
    }
  }
}

RawCounts Observer::take() {
  std::vector<std::int64_t> taken(counts_.size());
  taken.swap(counts_);
  return RawCounts(std::move(taken));
}

void Observer::put_back(const RawCounts& raw) noexcept {
  for (std::size_t i = 0; i < counts_.size(); ++i) counts_[i] += raw.values_[i];
}

}  // namespace edgeml
