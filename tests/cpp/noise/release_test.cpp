// SPDX-License-Identifier: Apache-2.0
// Raw counts become released ones with the noise that was asked for, or not at all.
#include "noise/release.h"

#include <doctest/doctest.h>

#include <type_traits>
#include <vector>

#include "noise/discrete_laplace.h"
#include "observe/observer.h"

namespace edgeml {
namespace {

static_assert(!std::is_constructible_v<RawCounts, std::vector<std::int64_t>>);
static_assert(!std::is_constructible_v<ReleasedCounts, std::vector<std::int64_t>, NoiseScale>);
static_assert(!std::is_convertible_v<RawCounts, ReleasedCounts>);

class BrokenByteSource final : public ByteSource {
 protected:
  bool seed(ChaChaKey&) noexcept override { return false; }
};

RawCounts latency_counts(std::int64_t samples) {
  const FeatureSpec spec{FeatureKind::latency_us, -1, 0, 0.0F, 0.0F, {1.0F, 2.0F}};
  Observer observer({&spec, 1});
  observer.observe({}, samples, 1.5F);
  return observer.take();
}

TEST_CASE("the noise of a release is the sampler's") {
  SeededByteSource source(9);
  std::optional<ReleasedCounts> released;
  REQUIRE(release(latency_counts(1000), {5, 2}, Sampler::exact, source, released) == ReleaseStatus::done);
  SeededByteSource again(9);
  std::vector<std::int64_t> expected = {0, 0, 1000, 0};
  for (std::int64_t& value : expected) value += discrete_laplace({5, 2}, again).value();
  CHECK(std::vector<std::int64_t>(released->values().begin(), released->values().end()) == expected);
  CHECK(released->noise_scale().numerator == 5);
  CHECK(released->noise_scale().denominator == 2);
}

TEST_CASE("system randomness differs from release to release") {
  std::optional<ReleasedCounts> first;
  std::optional<ReleasedCounts> second;
  const RawCounts raw = latency_counts(1);
  SystemByteSource one;
  SystemByteSource two;
  REQUIRE(release(raw, {1U << 30, 1}, Sampler::exact, one, first) == ReleaseStatus::done);
  REQUIRE(release(raw, {1U << 30, 1}, Sampler::exact, two, second) == ReleaseStatus::done);
  CHECK_FALSE(std::equal(first->values().begin(), first->values().end(), second->values().begin()));
}

TEST_CASE("no random bytes, a scale outside its range, a count at the end of its range: no release") {
  std::optional<ReleasedCounts> released;
  BrokenByteSource broken;
  CHECK(release(latency_counts(1), {1, 1}, Sampler::exact, broken, released) == ReleaseStatus::no_entropy);
  SystemByteSource source;
  for (const NoiseScale scale :
       {NoiseScale{0, 1}, NoiseScale{1, 0}, NoiseScale{kNoiseScaleMax + 1, 1}, NoiseScale{1, kNoiseScaleMax + 1}}) {
    CHECK(release(latency_counts(1), scale, Sampler::exact, source, released) == ReleaseStatus::bad_scale);
  }
  CHECK_FALSE(released.has_value());
  int overflows = 0;
  for (int i = 0; i < 100; ++i) {
    overflows +=
        release(latency_counts(INT64_MAX), {1000, 1}, Sampler::exact, source, released) == ReleaseStatus::overflow ? 1
                                                                                                                   : 0;
  }
  CHECK(overflows > 10);
  CHECK(overflows < 90);
}

}  // namespace
}  // namespace edgeml
