// SPDX-License-Identifier: Apache-2.0
// Counts of an observer, read back as reference counts; tests/python/observe compares with numpy on real shapes.
#include "observe/observer.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstdlib>
#include <limits>
#include <new>
#include <numeric>
#include <vector>

#include "observe/sample_values.h"

namespace {
long g_allocations = 0;
}  // namespace

// Not inlined: GCC would see free() of what operator new gave, and take it for a mistake.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++g_allocations;
  if (void* memory = std::malloc(bytes)) return memory;
  std::abort();
}
[[gnu::noinline]] void* operator new(std::size_t bytes,
                                     const std::nothrow_t& /*tag*/) noexcept {  // std::stable_sort's buffer
  ++g_allocations;
  return std::malloc(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace edgeml {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::vector<std::int64_t> take(Observer& observer) {
  const RawCounts raw = observer.take();
  const auto counts = reference_counts(raw);
  return {counts.begin(), counts.end()};
}

std::vector<FeatureSpec> every_kind() {
  std::vector<FeatureSpec> specs;
  for (const auto kind :
       {FeatureKind::value, FeatureKind::channel_mean, FeatureKind::channel_std, FeatureKind::channel_clipped}) {
    specs.push_back({kind, 0, 1, 0.0F, 4.0F, {0.0F, 1.0F, 2.0F}});
  }
  for (const auto kind :
       {FeatureKind::class_index, FeatureKind::confidence, FeatureKind::margin, FeatureKind::entropy}) {
    specs.push_back({kind, 1, 0, 0.0F, 0.0F, {0.0F, 0.5F, 1.0F, 2.0F}});
  }
  specs.push_back({FeatureKind::latency_us, -1, 0, 0.0F, 0.0F, {1.0F, 2.0F, 4.0F}});
  return specs;
}

TEST_CASE("each kind takes the value that wire.md gives it") {
  Observer observer(every_kind());
  // One sample of 2 channels of 4 pixels; channel 1 is {0, 1, 1, 2}: mean 1, std sqrt(0.5), one of four at lo = 0.
  const float input[] = {9, 1.5F, 9, 9, 0, 1, 1, 2};
  const float output[] = {0.25F, 0.75F};
  const TensorView views[] = {{input, 2, 4}, {output, 2, 1}};
  observer.observe(views, 1, 3.0F);
  CHECK(take(observer) == std::vector<std::int64_t>{
                              0, 0, 0, 1, 0,     // value 1.5
                              0, 0, 0, 1, 0,     // mean 1
                              0, 0, 1, 0, 0,     // std 0.707
                              0, 0, 1, 0, 0,     // clipped 0.25
                              0, 0, 0, 0, 1, 0,  // class 1
                              0, 0, 0, 1, 0, 0,  // confidence 0.75
                              0, 0, 0, 1, 0, 0,  // margin 0.5
                              0, 0, 0, 1, 0, 0,  // entropy 0.562
                              0, 0, 0, 1, 0,     // latency 3
                          });
}

TEST_CASE("a batch counts as its samples one by one, and take() starts again") {
  Observer batched(every_kind());
  Observer single(every_kind());
  std::vector<float> input(5 * 8);
  std::vector<float> output(5 * 3);
  for (std::size_t i = 0; i < input.size(); ++i) input[i] = static_cast<float>(i % 11) * 0.3F - 0.5F;
  for (std::size_t i = 0; i < output.size(); ++i) output[i] = static_cast<float>(i % 7) * 0.15F;
  const TensorView whole[] = {{input.data(), 2, 4}, {output.data(), 3, 1}};
  batched.observe(whole, 5, 1.0F);
  for (std::size_t n = 0; n < 5; ++n) {
    const TensorView one[] = {{input.data() + n * 8, 2, 4}, {output.data() + n * 3, 3, 1}};
    single.observe(one, 1, 1.0F);
  }
  const std::vector<std::int64_t> counts = take(batched);
  CHECK(counts == take(single));
  CHECK(std::accumulate(counts.begin(), counts.end(), std::int64_t{0}) == 9 * 5);
  const std::vector<std::int64_t> after = take(batched);
  CHECK(std::accumulate(after.begin(), after.end(), std::int64_t{0}) == 0);
}

TEST_CASE("NaN goes to slot 0 of whatever it reaches") {
  Observer observer(every_kind());
  const float input[] = {9, kNan, 9, 9, kNan, 0, 0, 0};
  const float output[] = {kNan, 0.75F};
  const TensorView views[] = {{input, 2, 4}, {output, 2, 1}};
  observer.observe(views, 1, kNan);
  const std::vector<std::int64_t> counts = take(observer);
  const std::size_t first[] = {0, 5, 10, 20, 26, 32, 38, 44};  // all but the clipped share: 3 of 4 are at lo
  for (const std::size_t slot : first) CHECK(counts[slot] == 1);
  CHECK(counts[17] == 1);
}

TEST_CASE("class is the first of equals, margin needs two elements") {
  const float equal[] = {0.1F, 0.4F, 0.4F, 0.1F};
  CHECK(class_scores(equal).best_class == 1.0F);
  CHECK(class_scores(equal).margin == 0.0F);
  const float alone[] = {0.4F};
  CHECK(class_scores(alone).confidence == 0.4F);
  CHECK(std::isnan(class_scores(alone).margin));
  const float certain[] = {0.0F, 1.0F};
  CHECK(entropy(certain) == 0.0F);
  CHECK_FALSE(std::signbit(entropy(certain)));
  const float negative[] = {-0.5F, 1.0F};
  CHECK(std::isnan(entropy(negative)));
}

TEST_CASE("mismatch names what the tensor lacks") {
  const Observer observer(every_kind());
  CHECK(observer.mismatch(0, {nullptr, 2, 1}).empty());
  CHECK(observer.mismatch(0, {nullptr, 1, 8}).find("1 channels") != std::string::npos);
  CHECK(observer.mismatch(0, {nullptr, 1, 1}).find("element 1") != std::string::npos);
}

TEST_CASE("observe() allocates nothing") {
  Observer observer(every_kind());
  const float input[] = {9, 1.5F, 9, 9, 0, 1, 1, 2};
  const float output[] = {0.25F, 0.75F};
  const TensorView views[] = {{input, 2, 4}, {output, 2, 1}};
  const long before = g_allocations;
  for (int i = 0; i < 100; ++i) observer.observe(views, 1, 3.0F);
  CHECK(g_allocations == before);
  CHECK(before > 0);
}

}  // namespace
}  // namespace edgeml
