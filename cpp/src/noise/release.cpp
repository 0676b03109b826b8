// SPDX-License-Identifier: Apache-2.0
#include "noise/release.h"

#include <utility>

#include "noise/discrete_laplace.h"

namespace edgeml {

ReleaseStatus release(const RawCounts& raw, NoiseScale scale, ByteSource& source,
                      std::optional<ReleasedCounts>& released) {
  const auto allowed = [](std::uint64_t part) { return part >= 1 && part <= kNoiseScaleMax; };
  if (!allowed(scale.numerator) || !allowed(scale.denominator)) return ReleaseStatus::bad_scale;
  std::vector<std::int64_t> noisy = raw.values_;
  for (std::int64_t& value : noisy) {
    const std::optional<std::int64_t> noise = discrete_laplace(scale, source);
    if (!source.ok()) return ReleaseStatus::no_entropy;
    if (!noise || __builtin_add_overflow(value, *noise, &value)) return ReleaseStatus::overflow;
  }
  released = ReleasedCounts(std::move(noisy), scale);
  return ReleaseStatus::done;
}

}  // namespace edgeml
