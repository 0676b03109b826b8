// SPDX-License-Identifier: Apache-2.0
// qs8_spmm_sse41: r output channels x a few vectors of 4 pixels, pixels in lanes. Contract: qs8_spmm.h.
//
//   x     4 words of a plane, as two vectors of s16     xmm  2 at a time   bytes 0 and 2 of a word, bytes 1 and 3
//   w     a word of the block as two pairs of s16       xmm  2
//   acc   4 channels x 2 vectors, 2 x 2 or 1 x 4        xmm  4 .. 8        4 pixels of one channel, starts at the bias
//
// As qs8_spmm_avx2: a mask and a shift widen a word, two pmaddwd give one sum a pixel, exactly.
#if !defined(__SSE4_1__)
#error "built without -msse4.1: see cmake/isa_flags.cmake"
#endif

#include <immintrin.h>

#include <cstdint>

#include "kernels/qs8_spmm/qs8_spmm.h"
#include "kernels/qs8_spmm/qs8_spmm_tiles.h"
#include "kernels/requantize_sse41.h"

namespace edgeml::kernels {
namespace {

#define EDGEML_INLINE inline __attribute__((always_inline))

constexpr int kVectorPixels = 4;
constexpr int kWordBytes = 8;  // of a channel of a packed block

constexpr int most_vectors(int block_rows) { return block_rows == 1 ? 4 : 2; }

// GCC otherwise gives a sum one register in the loop and another one after it, and copies in every round.
EDGEML_INLINE void keep_in_register(__m128i& value) { asm("" : "+x"(value)); }

EDGEML_INLINE __m128i broadcast_pair(const std::int8_t* pair) {
  std::int32_t value;
  __builtin_memcpy(&value, pair, 4);
  return _mm_set1_epi32(value);
}

EDGEML_INLINE __m128i madd_add(__m128i acc, __m128i x, __m128i w) { return _mm_add_epi32(acc, _mm_madd_epi16(x, w)); }

// One channel of a block times all vectors. Accumulators are named by constants only: through a pointer GCC keeps them
// in memory.
template <int kRow, int kVectors, int kCount, int... kV>
EDGEML_INLINE void multiply_row(__m128i (&acc)[kCount], const act_t* words, const std::int8_t* word,
                                SpmmIndices<kV...>) {
  const auto* x = reinterpret_cast<const __m128i*>(words);
  const __m128i w02 = broadcast_pair(word);
  const __m128i w13 = broadcast_pair(word + 4);
  const __m128i low_bytes = _mm_set1_epi16(0xff);
  ((acc[kRow * kVectors + kV] =
        madd_add(acc[kRow * kVectors + kV], _mm_and_si128(_mm_loadu_si128(x + kV), low_bytes), w02)),
   ...);
  ((acc[kRow * kVectors + kV] = madd_add(acc[kRow * kVectors + kV], _mm_srli_epi16(_mm_loadu_si128(x + kV), 8), w13)),
   ...);
}

// Rounded results of a row of blocks, [channel of the plane][vector], from channel kFirst on.
template <int kRows, int kVectors, int kFirst, int kCount, int... kV, int... kRow, int... kI>
EDGEML_INLINE void compute_row(const QS8SpmmArgs& args, const OutputRange128& range, const act_t* in, std::int32_t row,
                               __m128i (&rounded)[kCount], SpmmIndices<kV...> vectors, SpmmIndices<kRow...>,
                               SpmmIndices<kI...>) {
  const std::int32_t* offset = args.offset + args.row_begin[row];
  const std::int32_t* const end = args.offset + args.row_begin[row + 1];
  const std::int8_t* w = args.weights + std::int64_t{args.row_begin[row]} * kRows * kWordBytes;
  const std::int32_t* bias = args.bias + row * kRows;
  __m128i acc[kRows * kVectors] = {_mm_set1_epi32(bias[kI / kVectors])...};
  for (; offset != end; ++offset, w += kRows * kWordBytes) {
    (multiply_row<kRow, kVectors>(acc, in + *offset, w + kRow * kWordBytes, vectors), ...);
  }
  (keep_in_register(acc[kI]), ...);
  const float* m = args.multiplier + row * kRows;
  ((rounded[kFirst * kVectors + kI] = round_128(acc[kI], _mm_set1_ps(m[kI / kVectors]), range)), ...);
}

// By a mask of 4 words: the bytes of those that are in it, in order.
struct Order {
  std::uint8_t bytes[16][16];
  constexpr Order() : bytes() {
    for (unsigned mask = 0; mask < 16; ++mask) {
      int count = 0;
      for (unsigned i = 0; i < 16; ++i) {
        if ((mask >> (i / 4) & 1U) != 0) bytes[mask][count++] = static_cast<std::uint8_t>(i);
      }
    }
  }
};
constexpr Order kOrder;

struct Store {
  OutputRange128 range;
  __m128i by_pixel;        // byte shuffle: 4 pixels of each channel -> 4 words
  std::int64_t out_limit;  // with strips: behind the last output of the call
};

// The outputs among 4 words go side by side. Behind them other outputs of the call follow, which are stored later, so
// that a whole vector may be written except at the call's end.
EDGEML_INLINE void store_strip(const QS8SpmmArgs& args, __m128i words, std::int32_t pixel, std::int64_t out_limit,
                               act_t* plane) {
  const QS8SpmmStrip strip = args.strips[pixel / kSpmmStripPixels];
  const std::int32_t first = pixel % kSpmmStripPixels;
  const std::uint32_t outputs = strip.outputs >> first & 0xfU;
  const std::int64_t place = strip.first_out + __builtin_popcount(strip.outputs & ((1U << first) - 1));
  const auto* order = reinterpret_cast<const __m128i*>(kOrder.bytes[outputs]);
  const __m128i packed = _mm_shuffle_epi8(words, _mm_loadu_si128(order));
  if (place + kVectorPixels <= out_limit) [[likely]] {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(plane + place * 4), packed);
    return;
  }
  alignas(16) act_t bytes[16];
  _mm_store_si128(reinterpret_cast<__m128i*>(bytes), packed);
  for (std::int32_t i = 0; i < __builtin_popcount(outputs); ++i) {
    __builtin_memcpy(plane + (place + i) * 4, bytes + i * std::int64_t{4}, 4);
  }
}

EDGEML_INLINE void finish_vector(const QS8SpmmArgs& args, const Store& store, __m128i r0, __m128i r1, __m128i r2,
                                 __m128i r3, std::int32_t pixel, act_t* plane) {
  const __m128i words = _mm_shuffle_epi8(pack_128(r0, r1, r2, r3, store.range), store.by_pixel);
  if (args.strips == nullptr) {
    _mm_storeu_si128(reinterpret_cast<__m128i*>(plane + std::int64_t{pixel} * 4), words);
  } else {
    store_strip(args, words, pixel, store.out_limit, plane);
  }
}

template <int kRows, int kVectors, int... kV, int... kRow>
EDGEML_INLINE void compute_plane(const QS8SpmmArgs& args, const Store& store, std::int32_t pixel, std::int32_t plane,
                                 SpmmIndices<kV...> vectors, SpmmIndices<kRow...>) {
  const act_t* in = args.in + std::int64_t{pixel} * 4;
  act_t* out = args.out + plane * args.out_plane_step;
  __m128i r[4 * kVectors];
  (compute_row<kRows, kVectors, kRow * kRows>(args, store.range, in, plane * (4 / kRows) + kRow, r, vectors,
                                              SpmmMakeIndices<kRows>{}, SpmmMakeIndices<kRows * kVectors>{}),
   ...);
  (finish_vector(args, store, r[kV], r[kVectors + kV], r[2 * kVectors + kV], r[3 * kVectors + kV],
                 pixel + kV * kVectorPixels, out),
   ...);
}

template <int kRows, int kVectors>
__attribute__((noinline)) void compute_planes(const QS8SpmmArgs& args, const Store& store, std::int32_t pixel) {
  for (std::int32_t plane = args.plane_begin; plane < args.plane_end; ++plane) {
    compute_plane<kRows, kVectors>(args, store, pixel, plane, SpmmMakeIndices<kVectors>{},
                                   SpmmMakeIndices<4 / kRows>{});
  }
}

template <int kRows, int... kI>
inline void run(const QS8SpmmArgs& args, const Store& store, SpmmIndices<kI...>) {
  static constexpr SpmmTile<Store> kTiles[] = {&compute_planes<kRows, kI + 1>...};
  walk_tiles<kVectorPixels>(args, store, kTiles);
}

}  // namespace

void qs8_spmm_sse41(const QS8SpmmArgs& args) noexcept {
  const __m128i by_pixel = _mm_setr_epi8(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  Store store{broadcast_range_128(args.range), by_pixel, 0};
  if (args.strips != nullptr) {
    const QS8SpmmStrip last = args.strips[(args.pixel_end - 1) / kSpmmStripPixels];
    store.out_limit = std::int64_t{last.first_out} + __builtin_popcount(last.outputs);
  }
  switch (args.block_rows) {
    case 1:
      run<1>(args, store, SpmmMakeIndices<most_vectors(1)>{});
      break;
    case 2:
      run<2>(args, store, SpmmMakeIndices<most_vectors(2)>{});
      break;
    default:
      run<4>(args, store, SpmmMakeIndices<most_vectors(4)>{});
  }
}

}  // namespace edgeml::kernels
