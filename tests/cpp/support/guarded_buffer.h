// SPDX-License-Identifier: Apache-2.0
// An array that touches a guard page: one byte read or written past it is a fault. The bytes between the array and the
// other guard page hold a canary.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <span>

namespace edgeml::test {

// Which end of the array touches a guard page.
enum class Edge { end, begin };

inline constexpr Edge kEdges[] = {Edge::end, Edge::begin};

template <class T>
class GuardedBuffer {
 public:
  GuardedBuffer(std::size_t count, Edge edge) : count_(count) {
    const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
    const std::size_t bytes = count * sizeof(T);
    inner_bytes_ = (bytes + page - 1) / page * page;
    if (inner_bytes_ == 0) inner_bytes_ = page;
    mapped_bytes_ = inner_bytes_ + 2 * page;
    void* mapped = mmap(nullptr, mapped_bytes_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (mapped == MAP_FAILED) std::abort();
    mapped_ = static_cast<std::uint8_t*>(mapped);
    inner_ = mapped_ + page;
    if (mprotect(inner_, inner_bytes_, PROT_READ | PROT_WRITE) != 0) std::abort();
    std::memset(inner_, kCanary, inner_bytes_);
    offset_ = edge == Edge::end ? inner_bytes_ - bytes : 0;
  }
  GuardedBuffer(const GuardedBuffer&) = delete;
  GuardedBuffer& operator=(const GuardedBuffer&) = delete;
  ~GuardedBuffer() { munmap(mapped_, mapped_bytes_); }

  T* data() { return reinterpret_cast<T*>(inner_ + offset_); }
  const T* data() const { return reinterpret_cast<const T*>(inner_ + offset_); }
  std::size_t size() const { return count_; }
  std::span<T> span() { return {data(), count_}; }
  T& operator[](std::size_t i) { return data()[i]; }

  // Same contents as other, a buffer of the same size whatever its edge.
  bool equals(const GuardedBuffer& other) const {
    return count_ == other.count_ && std::memcmp(data(), other.data(), count_ * sizeof(T)) == 0;
  }

  // Nothing was written between the array and the guard page that it does not touch.
  bool canary_intact() const {
    const std::size_t end = offset_ + count_ * sizeof(T);
    for (std::size_t i = 0; i < inner_bytes_; ++i) {
      if ((i < offset_ || i >= end) && inner_[i] != kCanary) return false;
    }
    return true;
  }

  static constexpr std::uint8_t kCanary = 0xA5;

 private:
  std::size_t count_, inner_bytes_, mapped_bytes_, offset_;
  std::uint8_t* mapped_;
  std::uint8_t* inner_;
};

}  // namespace edgeml::test
