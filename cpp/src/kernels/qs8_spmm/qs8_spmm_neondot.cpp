// SPDX-License-Identifier: Apache-2.0
// qs8_spmm_neondot: r output channels x up to 6 vectors of 4 pixels, pixels in lanes. Contract: qs8_spmm.h.
//
//   x     4 words of a plane                  1 register a vector
//   w     the block, r words                  1 register: each word is the lane operand of up to 6 dots
//   acc   r channels x up to 6 vectors        up to 24 registers, 4 pixels of one channel, starts at the bias
#include <arm_neon.h>

#include <cstdint>

#include "kernels/qs8_spmm/qs8_spmm.h"
#include "kernels/qs8_spmm/qs8_spmm_tiles_neon.h"

#if !defined(__ARM_FEATURE_DOTPROD)
#error "built without +dotprod: see cmake/isa_flags.cmake"
#endif

namespace edgeml::kernels {
namespace {

#define EDGEML_INLINE inline __attribute__((always_inline))

// r words in the low lanes.
template <int kRows>
EDGEML_INLINE int8x16_t load_block(const std::int8_t* w) {
  if constexpr (kRows == 4) return vld1q_s8(w);
  if constexpr (kRows == 2) return vcombine_s8(vld1_s8(w), vdup_n_s8(0));
  std::int32_t word;
  __builtin_memcpy(&word, w, 4);
  return vreinterpretq_s8_s32(vdupq_n_s32(word));
}

// In Clang the intrinsic is a macro that a pack cannot be expanded in.
template <int kLane>
EDGEML_INLINE int32x4_t dot_lane(int32x4_t sum, int8x16_t x, int8x16_t w) {
  return vdotq_laneq_s32(sum, x, w, kLane);
}

// One channel of a block. Sums are named by constants only: through a pointer they would live in memory.
template <int kRow, int kVectors, int kCount, int... kV>
EDGEML_INLINE void multiply_word(int32x4_t (&acc)[kCount], const int8x16_t (&x)[kVectors], int8x16_t w,
                                 SpmmIndices<kV...> /*vectors*/) {
  ((acc[kRow * kVectors + kV] = dot_lane<kRow>(acc[kRow * kVectors + kV], x[kV], w)), ...);
}

struct Level {
  static constexpr int most_vectors(int) { return 6; }

  template <int kRows, int kWidth, int kFirst, int kCount, int... kV, int... kRow, int... kI>
  EDGEML_INLINE static void sum_row(const QS8SpmmArgs& args, const act_t* in, std::int32_t row,
                                    int32x4_t (&sums)[kCount], SpmmIndices<kV...> vectors,
                                    SpmmIndices<kRow...> /*rows*/, SpmmIndices<kI...> /*all*/) {
    const std::int32_t* offset = args.offset + args.row_begin[row];
    const std::int32_t* const end = args.offset + args.row_begin[row + 1];
    const std::int8_t* w = args.weights + std::int64_t{args.row_begin[row]} * kRows * 4;
    const std::int32_t* bias = args.bias + row * kRows;
    int32x4_t acc[kRows * kWidth] = {vdupq_n_s32(bias[kI / kWidth])...};
    for (; offset != end; ++offset, w += kRows * 4) {
      const act_t* words = in + *offset;
      const int8x16_t x[kWidth] = {load_pixels_neon(words + kV * 4 * kSpmmVectorNeon)...};
      const int8x16_t block = load_block<kRows>(w);
      (multiply_word<kRow>(acc, x, block, vectors), ...);
    }
    (keep_in_register_neon(acc[kI]), ...);
    ((sums[kFirst * kWidth + kI] = acc[kI]), ...);
  }
};

}  // namespace

void qs8_spmm_neondot(const QS8SpmmArgs& args) noexcept { run_spmm_neon<Level>(args); }

}  // namespace edgeml::kernels
