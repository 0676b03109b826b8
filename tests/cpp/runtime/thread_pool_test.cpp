// SPDX-License-Identifier: Apache-2.0
// Every tile runs exactly once, in every job, for every number of threads; a pool without work uses no CPU.
#include "runtime/thread_pool.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace edgeml {
namespace {

struct Visits {
  std::vector<int> count;  // plain ints: a tile that ran twice at once would be a data race for TSan to find
  std::int32_t threads;
  std::atomic<bool> bad_thread{false};
};

void visit(void* context, std::int32_t index, std::int32_t thread) {
  auto& visits = *static_cast<Visits*>(context);
  if (thread < 0 || thread >= visits.threads) visits.bad_thread = true;
  ++visits.count[static_cast<std::size_t>(index)];
}

TEST_CASE("every tile runs once per job") {
  for (const std::int32_t threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    CHECK(pool.threads() == threads);
    for (const std::int32_t tiles : {0, 1, 2, 7, 64}) {
      Visits visits{std::vector<int>(static_cast<std::size_t>(tiles)), threads, {}};
      constexpr int kJobs = 200;
      pool.begin_run();
      for (int job = 0; job < kJobs; ++job) pool.parallel_for(tiles, &visit, &visits);
      pool.end_run();
      for (const int count : visits.count) CHECK(count == kJobs);
      CHECK(!visits.bad_thread);
    }
  }
}

TEST_CASE("jobs of different lengths and contexts follow each other without mixing") {
  ThreadPool pool(4);
  pool.begin_run();
  for (std::int32_t round = 0; round < 500; ++round) {
    Visits visits{std::vector<int>(static_cast<std::size_t>(round % 13)), 4, {}};
    pool.parallel_for(round % 13, &visit, &visits);
    for (const int count : visits.count) REQUIRE(count == 1);
  }
  pool.end_run();
}

TEST_CASE("pools made, used and destroyed at once by several threads") {
  std::vector<std::thread> owners;
  std::atomic<int> wrong{0};
  for (int owner = 0; owner < 4; ++owner) {
    owners.emplace_back([&wrong, owner] {
      for (int round = 0; round < 20; ++round) {
        ThreadPool pool(1 + (owner + round) % 4);
        Visits visits{std::vector<int>(32), pool.threads(), {}};
        if (round % 3 == 0) continue;  // destroyed before its workers have looked for work
        pool.begin_run();
        for (int job = 0; job < 5; ++job) pool.parallel_for(32, &visit, &visits);
        if (round % 2 == 0) pool.end_run();  // else destroyed while its workers spin
        for (const int count : visits.count) wrong += count == 5 ? 0 : 1;
      }
    });
  }
  for (std::thread& owner : owners) owner.join();
  CHECK(wrong == 0);
}

TEST_CASE("in a forked child the caller does the work of a pool and can destroy it") {
  auto pool = std::make_unique<ThreadPool>(3);
  Visits visits{std::vector<int>(64), 3, {}};
  pool->parallel_for(64, &visit, &visits);
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    alarm(20);  // a child that hangs ends by a signal, and fails the test
    pool->begin_run();
    pool->parallel_for(64, &visit, &visits);
    pool->end_run();
    pool.reset();
    const bool all_twice = std::all_of(visits.count.begin(), visits.count.end(), [](int n) { return n == 2; });
    _exit(all_twice ? 0 : 1);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  pool->parallel_for(64, &visit, &visits);  // the parent's own goes on
  CHECK(std::all_of(visits.count.begin(), visits.count.end(), [](int n) { return n == 2; }));
}

std::int64_t process_cpu_ns() {
  timespec t{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
  return std::int64_t{t.tv_sec} * 1'000'000'000 + t.tv_nsec;
}

TEST_CASE("a pool without work sleeps") {
  ThreadPool pool(4);
  Visits visits{std::vector<int>(64), 4, {}};
  pool.begin_run();
  pool.parallel_for(64, &visit, &visits);
  pool.end_run();
  std::this_thread::sleep_for(std::chrono::milliseconds(5));  // the last spin is over
  const std::int64_t before = process_cpu_ns();
  std::this_thread::sleep_for(std::chrono::milliseconds(300));
  CHECK(process_cpu_ns() - before < 10'000'000);  // three spinning workers would use 900 ms
}

}  // namespace
}  // namespace edgeml
