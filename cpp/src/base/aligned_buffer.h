// SPDX-License-Identifier: Apache-2.0
// A block of memory that starts at a multiple of 64 bytes: arena, packed weights.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/int_math.h"

namespace edgeml {

inline constexpr std::int64_t kBufferAlignment = 64;

class AlignedBuffer {
 public:
  AlignedBuffer() = default;

  // Zero-filled; empty() if the machine has no memory left. bytes >= 0.
  static AlignedBuffer allocate(std::int64_t bytes) noexcept {
    AlignedBuffer buffer;
    const std::int64_t rounded = round_up(bytes > 0 ? bytes : 1, kBufferAlignment);
    buffer.data_.reset(
        static_cast<std::byte*>(std::aligned_alloc(kBufferAlignment, static_cast<std::size_t>(rounded))));
    if (buffer.data_ == nullptr) return {};
    buffer.size_ = rounded;
    std::memset(buffer.data_.get(), 0, static_cast<std::size_t>(rounded));
    return buffer;
  }

  bool empty() const noexcept { return data_ == nullptr; }
  std::int64_t size() const noexcept { return size_; }
  std::byte* data() const noexcept { return data_.get(); }
  template <class T>
  T* as() const noexcept {
    return reinterpret_cast<T*>(data_.get());
  }

 private:
  struct Free {
    void operator()(std::byte* p) const noexcept { std::free(p); }
  };
  std::unique_ptr<std::byte, Free> data_;
  std::int64_t size_ = 0;
};

}  // namespace edgeml
