// SPDX-License-Identifier: Apache-2.0
#include "runtime/thread_pool.h"

#include <chrono>
#include <new>
#include <utility>

#include "cpu/float_environment.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace edgeml {
namespace {

constexpr auto kSpinMax = std::chrono::microseconds(30);

void relax() noexcept {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  __asm__ volatile("yield");
#endif
}

// True as soon as ready() is; false when kSpinMax has passed.
template <class Ready>
bool spin_until(Ready ready) noexcept {
  const auto end = std::chrono::steady_clock::now() + kSpinMax;
  do {
    for (int i = 0; i < 32; ++i) {
      if (ready()) return true;
      relax();
    }
  } while (std::chrono::steady_clock::now() < end);
  return false;
}

}  // namespace

ThreadPool::ThreadPool(std::int32_t threads) {
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  try {
    for (std::int32_t thread = 1; thread < threads; ++thread) workers_.emplace_back([this, thread] { work(thread); });
  } catch (...) {
    stop();  // those that did start
    throw;
  }
}

ThreadPool::~ThreadPool() {
  if (is_forked()) {
    // Nobody will ever end these threads: to join them would hang, to destroy them joinable would end the process.
    static_cast<void>(new (std::nothrow) std::vector<std::thread>(std::move(workers_)));
    return;
  }
  stop();
}

void ThreadPool::stop() noexcept {
  stop_.store(true, std::memory_order_relaxed);
  wake_.fetch_add(1, std::memory_order_release);
  wake_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

void ThreadPool::parallel_for(std::int32_t count, Task task, void* context) noexcept {
  if (count <= 1 || workers_.empty() || is_forked()) {
    for (std::int32_t index = 0; index < count; ++index) task(context, index, 0);
    return;
  }
  task_.store(task, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  unfinished_.store(count, std::memory_order_relaxed);
  const std::uint64_t job = (unclaimed_.load(std::memory_order_relaxed) >> 32) + 1;
  unclaimed_.store(job << 32 | static_cast<std::uint32_t>(count), std::memory_order_release);
  wake_.fetch_add(1, std::memory_order_release);
  wake_.notify_all();
  while (run_one(0)) {
  }
  const auto finished = [this] { return unfinished_.load(std::memory_order_acquire) == 0; };
  while (!spin_until(finished)) std::this_thread::yield();  // a worker was put off its CPU in the middle of a tile
}

bool ThreadPool::run_one(std::int32_t thread) noexcept {
  std::uint64_t state = unclaimed_.load(std::memory_order_acquire);
  while (static_cast<std::uint32_t>(state) != 0) {
    // The exchange succeeds only while this job has unclaimed tiles, and as long as it has, task and context stay.
    const Task task = task_.load(std::memory_order_relaxed);
    void* const context = context_.load(std::memory_order_relaxed);
    if (unclaimed_.compare_exchange_weak(state, state - 1, std::memory_order_acq_rel, std::memory_order_acquire)) {
      task(context, static_cast<std::int32_t>(static_cast<std::uint32_t>(state) - 1), thread);
      unfinished_.fetch_sub(1, std::memory_order_release);
      return true;
    }
  }
  return false;
}

void ThreadPool::work(std::int32_t thread) noexcept {
  const FloatEnvironment environment;
  while (true) {
    const std::uint32_t seen = wake_.load(std::memory_order_acquire);
    while (run_one(thread)) {
    }
    if (stop_.load(std::memory_order_relaxed)) return;
    const auto changed = [this, seen] { return wake_.load(std::memory_order_acquire) != seen; };
    if (running_.load(std::memory_order_relaxed) && spin_until(changed)) continue;
    wake_.wait(seen, std::memory_order_acquire);
  }
}

}  // namespace edgeml
