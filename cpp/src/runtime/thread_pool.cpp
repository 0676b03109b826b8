// SPDX-License-Identifier: Apache-2.0
#include "runtime/thread_pool.h"

#include <pthread.h>

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
constexpr int kTileBits = 20;
constexpr std::int32_t kTilesMax = (1 << kTileBits) - 1;

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

ThreadPool::ThreadPool(std::int32_t threads) : parts_(static_cast<std::size_t>(threads)) {
  if (sched_getaffinity(0, sizeof(cpus_), &cpus_) != 0) CPU_ZERO(&cpus_);
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

std::uint64_t ThreadPool::word_of(const Unclaimed& tiles) noexcept {
  return std::uint64_t{tiles.job} << (2 * kTileBits) | std::uint64_t{tiles.first} << kTileBits | tiles.end;
}

ThreadPool::Unclaimed ThreadPool::tiles_of(std::uint64_t word) noexcept {
  return {static_cast<std::uint32_t>(word >> (2 * kTileBits)),
          static_cast<std::uint32_t>(word >> kTileBits) & kTilesMax, static_cast<std::uint32_t>(word) & kTilesMax};
}

// Nothing where the threads outnumber the CPUs: there is no room to choose.
void ThreadPool::keep_workers_off(int cpu) noexcept {
  if (cpu == callers_cpu_ || cpu < 0 || cpu >= CPU_SETSIZE || is_forked()) return;
  callers_cpu_ = cpu;
  if (CPU_COUNT(&cpus_) < threads() || !CPU_ISSET(cpu, &cpus_)) return;
  cpu_set_t others = cpus_;
  CPU_CLR(cpu, &others);
  for (std::thread& worker : workers_) pthread_setaffinity_np(worker.native_handle(), sizeof(others), &others);
}

void ThreadPool::parallel_for(std::int32_t count, Task task, void* context) noexcept {
  if (count <= 1 || count > kTilesMax || workers_.empty() || is_forked()) {
    for (std::int32_t index = 0; index < count; ++index) task(context, index, 0);
    return;
  }
  run_job(count, task, context);
}

void ThreadPool::run_job(std::int32_t count, Task task, void* context) noexcept {
  task_.store(task, std::memory_order_relaxed);
  context_.store(context, std::memory_order_relaxed);
  unfinished_.store(count, std::memory_order_relaxed);
  ++job_;
  const std::int64_t parts = threads();
  for (std::int64_t i = 0; i < parts; ++i) {
    const auto first = static_cast<std::uint32_t>(count * i / parts);
    const auto end = static_cast<std::uint32_t>(count * (i + 1) / parts);
    parts_[static_cast<std::size_t>(i)].unclaimed.store(word_of({job_, first, end}), std::memory_order_release);
  }
  wake_.fetch_add(1, std::memory_order_release);
  wake_.notify_all();
  while (run_one(0)) {
  }
  const auto finished = [this] { return unfinished_.load(std::memory_order_acquire) == 0; };
  while (!spin_until(finished)) std::this_thread::yield();  // a worker was put off its CPU in the middle of a tile
}

bool ThreadPool::run_one(std::int32_t thread) noexcept {
  const std::int32_t count = threads();
  for (std::int32_t i = 0; i < count; ++i) {
    if (run_one_of(parts_[static_cast<std::size_t>((thread + i) % count)], i == 0, thread)) return true;
  }
  return false;
}

// From the front of the thread's own part, from the back of another's.
bool ThreadPool::run_one_of(Part& part, bool is_own, std::int32_t thread) noexcept {
  std::uint64_t word = part.unclaimed.load(std::memory_order_acquire);
  while (true) {
    Unclaimed tiles = tiles_of(word);
    if (tiles.first == tiles.end) return false;
    // The exchange succeeds only while this job has unclaimed tiles, and as long as it has, task and context stay.
    const Task task = task_.load(std::memory_order_relaxed);
    void* const context = context_.load(std::memory_order_relaxed);
    const std::uint32_t index = is_own ? tiles.first++ : --tiles.end;
    if (part.unclaimed.compare_exchange_weak(word, word_of(tiles), std::memory_order_acq_rel,
                                             std::memory_order_acquire)) {
      task(context, static_cast<std::int32_t>(index), thread);
      unfinished_.fetch_sub(1, std::memory_order_release);
      return true;
    }
  }
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
