// SPDX-License-Identifier: Apache-2.0
// qs8_spmm_neon: r output channels x 1 or 2 vectors of 4 pixels, pixels in lanes, for CPUs without dot product.
// Contract: qs8_spmm.h.
//
//   x     4 words of a plane                          2 registers a vector: of two blocks
//   w     a word of each of two blocks, repeated      2 registers
//   acc   r channels x 1 or 2 vectors, 2 halves       4 or 8 registers: lanes are two parts of the sums of 2 pixels
//
// |w| <= 127, so two products fit int16: the blocks of a row, an even number, go two by two: smull takes the first
// one's, smlal adds the second one's, sadalp adds neighbours to the sums. Adding the lanes of a pixel at the end gives
// its sum.
#include <arm_neon.h>

#include <cstdint>

#include "kernels/qs8_spmm/qs8_spmm.h"
#include "kernels/qs8_spmm/qs8_spmm_tiles_neon.h"

namespace edgeml::kernels {
namespace {

#define EDGEML_INLINE inline __attribute__((always_inline))

EDGEML_INLINE int8x16_t repeat_word(const std::int8_t* w) {
  std::int32_t word;
  __builtin_memcpy(&word, w, 4);
  return vreinterpretq_s8_s32(vdupq_n_s32(word));
}

EDGEML_INLINE void add_products(int32x4_t& low, int32x4_t& high, int8x16_t x0, int8x16_t x1, int8x16_t w0,
                                int8x16_t w1) {
  low = vpadalq_s16(low, vmlal_s8(vmull_s8(vget_low_s8(x0), vget_low_s8(w0)), vget_low_s8(x1), vget_low_s8(w1)));
  high = vpadalq_s16(high, vmlal_high_s8(vmull_high_s8(x0, w0), x1, w1));
}

// One channel of two blocks. Sums are named by constants only: through a pointer they would live in memory.
// acc: [channel][vector][half].
template <int kRow, int kWidth, int kCount, int... kV>
EDGEML_INLINE void multiply_words(int32x4_t (&acc)[kCount], const int8x16_t (&x0)[kWidth],
                                  const int8x16_t (&x1)[kWidth], const std::int8_t* word0, const std::int8_t* word1,
                                  SpmmIndices<kV...> /*vectors*/) {
  const int8x16_t w0 = repeat_word(word0);
  const int8x16_t w1 = repeat_word(word1);
  constexpr int kAt = kRow * kWidth;
  (add_products(acc[2 * (kAt + kV)], acc[2 * (kAt + kV) + 1], x0[kV], x1[kV], w0, w1), ...);
}

struct Level {
  static constexpr int most_vectors(int block_rows) { return block_rows == 4 ? 1 : 2; }

  template <int kRows, int kWidth, int kFirst, int kCount, int... kV, int... kRow, int... kI>
  EDGEML_INLINE static void sum_row(const QS8SpmmArgs& args, const act_t* in, std::int32_t row,
                                    int32x4_t (&sums)[kCount], SpmmIndices<kV...> vectors,
                                    SpmmIndices<kRow...> /*rows*/, SpmmIndices<kI...> /*all*/) {
    constexpr int kBlockBytes = kRows * 4;
    const std::int32_t* offset = args.offset + args.row_begin[row];
    const std::int32_t* const end = args.offset + args.row_begin[row + 1];
    const std::int8_t* w = args.weights + std::int64_t{args.row_begin[row]} * kBlockBytes;
    const std::int32_t* bias = args.bias + row * kRows;
    int32x4_t acc[2 * kRows * kWidth];
    ((acc[2 * kI] = vdupq_n_s32(0), acc[2 * kI + 1] = vdupq_n_s32(0)), ...);
    for (; offset != end; offset += 2, w += 2 * kBlockBytes) {
      const act_t* words0 = in + offset[0];
      const act_t* words1 = in + offset[1];
      const int8x16_t x0[kWidth] = {load_pixels_neon(words0 + kV * 4 * kSpmmVectorNeon)...};
      const int8x16_t x1[kWidth] = {load_pixels_neon(words1 + kV * 4 * kSpmmVectorNeon)...};
      (multiply_words<kRow>(acc, x0, x1, w + kRow * 4, w + kBlockBytes + kRow * 4, vectors), ...);
    }
    (keep_in_register_neon(acc[2 * kI]), ...);
    (keep_in_register_neon(acc[2 * kI + 1]), ...);
    ((sums[kFirst * kWidth + kI] = vaddq_s32(vpaddq_s32(acc[2 * kI], acc[2 * kI + 1]), vdupq_n_s32(bias[kI / kWidth]))),
     ...);
  }
};

}  // namespace

void qs8_spmm_neon(const QS8SpmmArgs& args) noexcept { run_spmm_neon<Level>(args); }

}  // namespace edgeml::kernels
