// SPDX-License-Identifier: Apache-2.0
#include "runtime/fork_count.h"

#include <pthread.h>

#include <atomic>

namespace edgeml {
namespace {

std::atomic<std::uint32_t> count{0};

}  // namespace

std::uint32_t fork_count() noexcept {
  static const int kRegistered =
      pthread_atfork(nullptr, nullptr, [] { count.fetch_add(1, std::memory_order_relaxed); });
  static_cast<void>(kRegistered);
  return count.load(std::memory_order_relaxed);
}

}  // namespace edgeml
