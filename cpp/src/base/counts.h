// SPDX-License-Identifier: Apache-2.0
// The counts of one window before and after the noise, as two types: nothing that leaves a device takes the first.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace edgeml {

class ByteSource;
class Observer;
class RawCounts;
class ReleasedCounts;
enum class ReleaseStatus;
enum class Sampler;

// A discrete Laplace scale t = numerator / denominator.
struct NoiseScale {
  std::uint64_t numerator = 1;
  std::uint64_t denominator = 1;
};

// A discrete Gaussian's sigma^2 = numerator / denominator.
struct NoiseVariance {
  std::uint64_t numerator = 1;
  std::uint64_t denominator = 1;
};

std::span<const std::int64_t> reference_counts(const RawCounts& raw) noexcept;
ReleaseStatus release(const RawCounts& raw, NoiseScale scale, Sampler sampler, ByteSource& source,
                      std::optional<ReleasedCounts>& released);

// Exact counts. They can only be released (noise/release.h) or, where the data are public, read as reference counts.
class RawCounts {
 private:
  friend class Observer;
  friend std::span<const std::int64_t> reference_counts(const RawCounts& raw) noexcept;
  friend ReleaseStatus release(const RawCounts& raw, NoiseScale scale, Sampler sampler, ByteSource& source,
                               std::optional<ReleasedCounts>& released);

  explicit RawCounts(std::vector<std::int64_t> values) : values_(std::move(values)) {}
  std::vector<std::int64_t> values_;
};

// Counts with noise of `noise_scale` added to each; made by release() alone.
class ReleasedCounts {
 public:
  std::span<const std::int64_t> values() const noexcept { return values_; }
  NoiseScale noise_scale() const noexcept { return noise_scale_; }

 private:
  friend ReleaseStatus release(const RawCounts& raw, NoiseScale scale, Sampler sampler, ByteSource& source,
                               std::optional<ReleasedCounts>& released);

  ReleasedCounts(std::vector<std::int64_t> values, NoiseScale scale)
      : values_(std::move(values)), noise_scale_(scale) {}
  std::vector<std::int64_t> values_;
  NoiseScale noise_scale_;
};

// Counts of calibration data, which are public: the converter stores them in the schema as what the fleet compares
// with. Not for anything that a device has seen.
inline std::span<const std::int64_t> reference_counts(const RawCounts& raw) noexcept { return raw.values_; }

}  // namespace edgeml
