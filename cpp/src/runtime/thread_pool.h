// SPDX-License-Identifier: Apache-2.0
// Threads that share the tiles of one node at a time. The caller works too; workers sleep on a futex between runs. Each
// thread begins with its own part of the tiles, the same part of every node, so that what it wrote is in its caches
// when the next node reads it; then it takes what others have left.
#pragma once

#include <sched.h>

#include <atomic>
#include <cstdint>
#include <thread>
#include <vector>

#include "runtime/fork_count.h"

namespace edgeml {

class ThreadPool {
 public:
  // A task: what to do with tile `index`, on behalf of thread `thread` [0, threads).
  using Task = void (*)(void* context, std::int32_t index, std::int32_t thread);

  // threads >= 1, the caller included; threads - 1 workers are started. Throws std::system_error
  // if the system starts no more.
  explicit ThreadPool(std::int32_t threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  std::int32_t threads() const noexcept { return static_cast<std::int32_t>(parts_.size()); }

  // Between begin_run() and end_run() workers that have nothing to do spin for a moment before they sleep.
  // Workers leave the caller's CPU: woken on a busy machine they would queue behind it, and it does not wait for them.
  void begin_run() noexcept {
    if (!workers_.empty()) keep_workers_off(sched_getcpu());
    running_.store(true, std::memory_order_relaxed);
  }
  void end_run() noexcept { running_.store(false, std::memory_order_relaxed); }

  // Runs task(context, index, thread) for every index in [0, count) and returns when all are done; what they wrote is
  // visible then. No allocation, no lock. One caller at a time. In a child of fork(), where the workers do not exist,
  // the caller does it all.
  void parallel_for(std::int32_t count, Task task, void* context) noexcept;

 private:
  bool is_forked() const noexcept { return fork_count() != forks_; }
  void stop() noexcept;
  void keep_workers_off(int cpu) noexcept;
  void work(std::int32_t thread) noexcept;
  bool run_one(std::int32_t thread) noexcept;

  // Tiles [first, end) of a job that nobody has claimed. They stand in one word beside the job's number, so that a
  // worker that looks late can never claim a tile of a newer job by an old job's count.
  struct Unclaimed {
    std::uint32_t job, first, end;  // 24, 20 and 20 bits
  };
  struct alignas(64) Part {
    std::atomic<std::uint64_t> unclaimed{0};
  };
  static std::uint64_t word_of(const Unclaimed& tiles) noexcept;
  static Unclaimed tiles_of(std::uint64_t word) noexcept;
  bool run_one_of(Part& part, bool is_own, std::int32_t thread) noexcept;
  void run_job(std::int32_t count, Task task, void* context) noexcept;

  cpu_set_t cpus_;        // of the thread that made the pool
  int callers_cpu_ = -1;  // that the workers keep off

  std::vector<Part> parts_;  // one for each thread
  std::uint32_t job_ = 0;
  std::atomic<Task> task_{nullptr};
  std::atomic<void*> context_{nullptr};
  std::atomic<std::int32_t> unfinished_{0};
  std::atomic<std::uint32_t> wake_{0};  // changes when there is something new to look at
  std::atomic<bool> running_{false};
  std::atomic<bool> stop_{false};
  const std::uint32_t forks_ = fork_count();
  std::vector<std::thread> workers_;
};

}  // namespace edgeml
