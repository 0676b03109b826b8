// SPDX-License-Identifier: Apache-2.0
#include "noise/release.h"

#include <utility>

#include "noise/discrete_laplace.h"
#include "noise/table_sampler.h"

namespace edgeml {
namespace {

// Fills `noise`; false where a draw is outside its range or the source has failed.
bool draw_noise(NoiseScale scale, Sampler sampler, ByteSource& source, std::vector<std::int64_t>& noise) {
  if (sampler == Sampler::constant_time) {
    TableSampler::discrete_laplace(scale).draw(noise, source);
    return source.ok();
  }
  for (std::int64_t& value : noise) {
    const std::optional<std::int64_t> draw = discrete_laplace(scale, source);
    if (!draw) return false;
    value = *draw;
  }
  return true;
}

}  // namespace

ReleaseStatus release(const RawCounts& raw, NoiseScale scale, Sampler sampler, ByteSource& source,
                      std::optional<ReleasedCounts>& released) {
  const auto allowed = [](std::uint64_t part) { return part >= 1 && part <= kNoiseScaleMax; };
  if (!allowed(scale.numerator) || !allowed(scale.denominator)) return ReleaseStatus::bad_scale;
  std::vector<std::int64_t> noisy(raw.values_.size());
  if (!draw_noise(scale, sampler, source, noisy)) {
    return source.ok() ? ReleaseStatus::overflow : ReleaseStatus::no_entropy;
  }
  bool overflows = false;
  for (std::size_t i = 0; i < noisy.size(); ++i) {
    overflows |= __builtin_add_overflow(raw.values_[i], noisy[i], &noisy[i]);
  }
  if (overflows) return ReleaseStatus::overflow;
  released = ReleasedCounts(std::move(noisy), scale);
  return ReleaseStatus::done;
}

}  // namespace edgeml
