// SPDX-License-Identifier: Apache-2.0
// f32_edge_counts_neon: a block of values becomes keys in the first cache, then four edges at a time meet 4 keys in
// each step. Contract: f32_edge_counts.h.
#include <arm_neon.h>

#include <cstdint>
#include <cstring>

#include "kernels/f32_edge_counts/f32_edge_counts.h"

namespace edgeml::kernels {
namespace {

constexpr int kLanes = 4;
constexpr std::int64_t kBlock = 2048;  // values
constexpr int kEdges = 4;              // of a pass: their keys and counts stay in registers

// Keys of 4 values; that of NaN is below every edge.
inline __attribute__((always_inline)) int32x4_t keys_of(int32x4_t bits, std::int64_t* nans) {
  const int32x4_t low_bits = vdupq_n_s32(0x7fffffff);
  const uint32x4_t is_nan = vcgtq_s32(vandq_s32(bits, low_bits), vdupq_n_s32(0x7f800000));
  *nans += vaddvq_u32(vshrq_n_u32(is_nan, 31));
  const int32x4_t key = veorq_s32(bits, vandq_s32(vshrq_n_s32(bits, 31), low_bits));
  const uint32x4_t is_minus_zero = vceqq_s32(key, vdupq_n_s32(-1));
  const int32x4_t ordered = vbicq_s32(key, vreinterpretq_s32_u32(is_minus_zero));
  return vbslq_s32(is_nan, vdupq_n_s32(INT32_MIN), ordered);
}

}  // namespace

void f32_edge_counts_neon(const F32EdgeCountsArgs& args) noexcept {
  alignas(16) std::int32_t keys[kBlock];
  for (std::int64_t begin = 0; begin < args.n; begin += kBlock) {
    const std::int64_t block = args.n - begin < kBlock ? args.n - begin : kBlock;
    std::int64_t filled = 0;
    for (; filled < block; filled += kLanes) {
      const std::int64_t left = block - filled;
      std::int32_t bits[kLanes] = {};
      std::memcpy(bits, args.values + begin + filled, static_cast<std::size_t>(left < kLanes ? left : kLanes) * 4);
      vst1q_s32(keys + filled, keys_of(vld1q_s32(bits), args.nans));
      for (std::int64_t lane = left; lane < kLanes; ++lane) keys[filled + lane] = INT32_MIN;
    }
    for (std::int64_t e = 0; e < args.edge_count; e += kEdges) {
      int32x4_t edges[kEdges];
      int32x4_t counts[kEdges];
      for (int k = 0; k < kEdges; ++k) {
        edges[k] = vdupq_n_s32(args.edges[e + k]);
        counts[k] = vdupq_n_s32(0);
      }
      for (std::int64_t i = 0; i < filled; i += kLanes) {
        const int32x4_t key = vld1q_s32(keys + i);
        for (int k = 0; k < kEdges; ++k) {
          counts[k] = vsubq_s32(counts[k], vreinterpretq_s32_u32(vcgeq_s32(key, edges[k])));
        }
      }
      for (int k = 0; k < kEdges; ++k) args.at_least[e + k] += vaddvq_s32(counts[k]);
    }
  }
}

}  // namespace edgeml::kernels
