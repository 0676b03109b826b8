// SPDX-License-Identifier: Apache-2.0
// execute() never touches the heap, with one thread or several.
#include <doctest/doctest.h>

#include <atomic>
#include <cstddef>
#include <cstdlib>
#include <new>
#include <string>
#include <vector>

#include "edgeml/inference_session.h"

namespace {
std::atomic<int> heap_calls{0};
}

// Not inlined: GCC would see free() of what operator new gave, and take it for a mistake.
[[gnu::noinline]] void* operator new(std::size_t bytes) {
  ++heap_calls;
  if (void* memory = std::malloc(bytes)) return memory;
  throw std::bad_alloc();
}
[[gnu::noinline]] void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept {
  ++heap_calls;
  return std::malloc(bytes);
}
[[gnu::noinline]] void operator delete(void* memory) noexcept { std::free(memory); }
[[gnu::noinline]] void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace edgeml {
namespace {

TEST_CASE("execute() makes no heap call") {
  for (const int threads : {1, 3}) {
    CAPTURE(threads);
    Result<InferenceSession> opened = InferenceSession::open(std::string(EDGEML_GOLDEN_DIR) + "/every_operator.edgeml",
                                                             {.threads = threads, .isa = {}});
    REQUIRE(opened.ok());
    InferenceSession& session = opened.value();
    REQUIRE(session.bind(64).ok());  // enough for the threads to share
    std::vector<std::vector<float>> arrays;
    std::vector<const void*> in;
    std::vector<void*> out;
    const auto array = [&](const TensorInfo& info) {
      return arrays.emplace_back(static_cast<std::size_t>(64 * info.dims.elements_per_sample()), 0.5F).data();
    };
    for (const TensorInfo& info : session.inputs()) in.push_back(array(info));
    for (const TensorInfo& info : session.outputs()) out.push_back(array(info));
    const int before = heap_calls;
    CHECK(before > 0);  // the counter counts
    for (int i = 0; i < 20; ++i) REQUIRE(session.execute(in, out).ok());
    CHECK(heap_calls == before);
  }
}

}  // namespace
}  // namespace edgeml
