// SPDX-License-Identifier: Apache-2.0
// The rounding that the numeric contract needs, whatever the process has set: nearest even, subnormals kept.
#pragma once

#include <cstdint>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

namespace edgeml {

// Sets this thread's control register while it lives and puts the old value back.
class FloatEnvironment {
 public:
  FloatEnvironment() noexcept : saved_(read()) { write(kDefault); }
  ~FloatEnvironment() { write(saved_); }
  FloatEnvironment(const FloatEnvironment&) = delete;
  FloatEnvironment& operator=(const FloatEnvironment&) = delete;

 private:
#if defined(__x86_64__)
  using Register = std::uint32_t;
  static constexpr Register kDefault = 0x1f80;  // MXCSR: exceptions masked, RC = 00, FZ = DAZ = 0
  static Register read() noexcept { return _mm_getcsr(); }
  static void write(Register value) noexcept { _mm_setcsr(value); }
#elif defined(__aarch64__)
  using Register = std::uint64_t;
  static constexpr Register kDefault = 0;  // FPCR: RMode = 00, FZ = 0, no alternative half precision
  static Register read() noexcept {
    Register value = 0;
    __asm__ volatile("mrs %0, fpcr" : "=r"(value));
    return value;
  }
  static void write(Register value) noexcept { __asm__ volatile("msr fpcr, %0" ::"r"(value)); }
#else
  using Register = std::uint32_t;
  static constexpr Register kDefault = 0;
  static Register read() noexcept { return 0; }
  static void write(Register) noexcept {}
#endif

  Register saved_;
};

}  // namespace edgeml
