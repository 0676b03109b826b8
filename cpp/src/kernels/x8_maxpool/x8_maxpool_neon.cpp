// SPDX-License-Identifier: Apache-2.0
// x8_maxpool_neon: 4 output words at a time where the input words of a tap stand side by side, one elsewhere. Contract:
// x8_maxpool.h.
#include <arm_neon.h>

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "kernels/x8_maxpool/x8_maxpool.h"

namespace edgeml::kernels {
namespace {

// Taps first..last of a window that begins at `start` and whose taps are `dilation` apart lie inside [0, size).
struct Taps {
  std::int32_t first, last;
};

Taps inside(std::int32_t start, std::int32_t dilation, std::int32_t taps, std::int32_t size) {
  const std::int32_t first = start < 0 ? (-start + dilation - 1) / dilation : 0;
  return {first, std::min(taps - 1, (size - 1 - start) / dilation)};
}

const act_t* word_at(const X8MaxpoolArgs& args, std::int32_t y, std::int32_t x) {
  return args.in + (std::int64_t{y} * args.in_w + x) * 4;
}

int8x16_t load_word(const act_t* word) {
  std::int32_t bits;
  std::memcpy(&bits, word, sizeof bits);
  return vreinterpretq_s8_s32(vdupq_n_s32(bits));
}

// The maximum over the window at (y0, x0); with kWords of 4 the windows of 4 neighbours, all taps of the row inside.
template <std::int32_t kWords>
int8x16_t max_window(const X8MaxpoolArgs& args, Taps rows, Taps columns, std::int32_t y0, std::int32_t x0) {
  int8x16_t best = vdupq_n_s8(-128);
  for (std::int32_t ky = rows.first; ky <= rows.last; ++ky) {
    for (std::int32_t kx = columns.first; kx <= columns.last; ++kx) {
      const act_t* word = word_at(args, y0 + ky * args.dilation_h, x0 + kx * args.dilation_w);
      best = vmaxq_s8(best, kWords == 4 ? vld1q_s8(word) : load_word(word));
    }
  }
  return best;
}

}  // namespace

void x8_maxpool_neon(const X8MaxpoolArgs& args) noexcept {
  const std::int32_t span = (args.kernel_w - 1) * args.dilation_w;
  for (std::int32_t oy = 0; oy < args.out_h; ++oy) {
    const std::int32_t y0 = oy * args.stride_h - args.pad_top;
    const Taps rows = inside(y0, args.dilation_h, args.kernel_h, args.in_h);
    act_t* out = args.out + std::int64_t{oy} * args.out_w * 4;
    for (std::int32_t ox = 0; ox < args.out_w;) {
      const std::int32_t x0 = ox * args.stride_w - args.pad_left;
      if (args.stride_w == 1 && x0 >= 0 && x0 + 3 + span < args.in_w && ox + 4 <= args.out_w) {
        vst1q_s8(out + std::int64_t{ox} * 4, max_window<4>(args, rows, {0, args.kernel_w - 1}, y0, x0));
        ox += 4;
        continue;
      }
      const Taps columns = inside(x0, args.dilation_w, args.kernel_w, args.in_w);
      const std::int32_t word = vgetq_lane_s32(vreinterpretq_s32_s8(max_window<1>(args, rows, columns, y0, x0)), 0);
      std::memcpy(out + std::int64_t{ox} * 4, &word, sizeof word);
      ++ox;
    }
  }
}

}  // namespace edgeml::kernels
