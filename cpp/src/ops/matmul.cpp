// SPDX-License-Identifier: Apache-2.0
// matmul: the product of two activations over their depth, y[n,m,p] = sum_k a[n,k,p] * b[n,m,k] (or b[n,k,m]): the two
// products of attention. b is packed as the weights of a qs8_gemm for each sample.
//
// The weights of a gemm have no zero point and are s8; b - Z_b has 9 bits. So the depth is walked once with b and,
// where Z_b is not 0, again with the constant -Z_b in the place of b: the sum of both is exact. 128 = 127 + 1 takes a
// third.
#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/pack_words.h"
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kDepthAxis = 0, kActMin = 1 };

constexpr std::int64_t kPanelMax = 64;     // nr of every row divides it, so that the workspace is the same on every ISA
constexpr std::int64_t kStepMax = 16;      // and kr this one
constexpr std::int64_t kDepthMax = 32768;  // 255 * 255 * depth stays inside int32

class Matmul final : public Operator {
 public:
  explicit Matmul(const OperatorContext& context)
      : a_(context.node.inputs[0]),
        b_(context.node.inputs[1]),
        y_(context.node.outputs[0]),
        a_layout_(context.input(0).dims),
        b_layout_(context.input(1).dims),
        y_layout_(context.output().dims),
        zero_point_a_(context.input(0).zero_point),
        multiplier_(context.input(2).values<float>()[0]),
        range_(output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1))),
        depth_is_channel_(context.attribute(kDepthAxis) == 1),
        row_(context.kernels.qs8_gemm) {
    const std::int32_t zero_point_b = context.input(1).zero_point;
    if (zero_point_b != 0) constants_.push_back(static_cast<std::int8_t>(std::min(-zero_point_b, 127)));
    if (zero_point_b == -128) constants_.push_back(1);
    depth_groups_ = static_cast<std::int32_t>(a_layout_.groups);
    k_groups_ = depth_groups_ * static_cast<std::int32_t>(1 + constants_.size());
    columns_ = static_cast<std::int32_t>(y_layout_.channels);
    for (std::int32_t g = 0; g < k_groups_; ++g) {
      group_offset_.push_back(static_cast<std::int32_t>(g % depth_groups_ * a_layout_.plane_step));
    }
    const std::int64_t wide_columns = round_up(columns_, kPanelMax);
    words_bytes_ = round_up(std::int64_t{4} * k_groups_ * columns_, 64);
    packed_bytes_ = wide_columns * round_up(std::int64_t{4} * k_groups_, kStepMax);
    vector_bytes_ = wide_columns * 4;
  }

  const char* kernel() const override { return row_.name; }
  std::int64_t macs_per_sample() const override { return a_layout_.channels * a_layout_.pixels * columns_; }
  Workspace workspace() const override {
    return {.shared = words_bytes_ + packed_bytes_ + 2 * vector_bytes_,
            .per_thread = round_up(kernels::qs8_gemm_workspace_bytes(row_.mr, row_.nr, row_.kr, k_groups_), 64)};
  }

  void run(const Run& run) const noexcept override {
    auto* const words = reinterpret_cast<std::int8_t*>(run.workspace);
    auto* const packed = words + words_bytes_;
    auto* const bias = reinterpret_cast<std::int32_t*>(packed + packed_bytes_);
    auto* const multiplier = reinterpret_cast<float*>(packed + packed_bytes_ + vector_bytes_);
    std::fill_n(multiplier, vector_bytes_ / 4, multiplier_);
    for (std::int64_t n = 0; n < run.batch; ++n) {
      gather_words(run.tensor<act_t>(b_) + n * b_layout_.sample_step, words);
      fill_bias(words, bias);
      kernels::qs8_gemm_pack_words(words, columns_, k_groups_, row_.nr, row_.kr, packed);
      kernels::QS8GemmArgs args{};
      args.in = run.tensor<act_t>(a_) + n * a_layout_.sample_step;
      args.group_offset = group_offset_.data();
      args.k_groups = k_groups_;
      args.out_w = static_cast<std::int32_t>(a_layout_.pixels);
      args.in_row_step = 0;
      args.in_col_step = 4;
      args.weights = packed;
      args.full_range_weights = true;
      args.bias = bias;
      args.multiplier = multiplier;
      args.channels = columns_;
      args.out = run.tensor<act_t>(y_) + n * y_layout_.sample_step;
      args.out_plane_step = y_layout_.plane_step;
      args.out_pixel_step = 4;
      args.range = range_;
      args.panel_end = static_cast<std::int32_t>(ceil_div(columns_, row_.nr));
      multiply(run, args);
    }
  }

 private:
  // [depth words][columns][4], zero beyond the depth; then the constants in the same form.
  void gather_words(const act_t* b, std::int8_t* words) const noexcept {
    for (std::int32_t g = 0; g < depth_groups_; ++g) {
      std::int8_t* const to = words + std::int64_t{g} * columns_ * 4;
      if (depth_is_channel_) {
        copy_words(b + g * b_layout_.plane_step, columns_, depth_mask(g), to);
      } else {
        gather_depth(b + g * std::int64_t{16}, g, to);
      }
    }
    std::int8_t* to = words + std::int64_t{4} * depth_groups_ * columns_;
    for (const std::int8_t value : constants_) {
      for (std::int32_t g = 0; g < depth_groups_; ++g, to += std::int64_t{4} * columns_) {
        fill_words(to, columns_, static_cast<std::uint8_t>(value) * 0x01010101U & depth_mask(g));
      }
    }
  }

  // Which bytes of a depth word are there.
  std::uint32_t depth_mask(std::int32_t g) const noexcept {
    const std::int64_t present = a_layout_.channels - std::int64_t{4} * g;
    return present >= 4 ? 0xffffffffU : (1U << (8 * present)) - 1U;
  }

  // A word of b is a word of depth.
  static void copy_words(const act_t* from, std::int32_t count, std::uint32_t mask, std::int8_t* to) noexcept {
    for (std::int32_t i = 0; i < count; ++i)
      store_word(to + std::int64_t{4} * i, to_s8(load_word(from + std::int64_t{4} * i)) & mask);
  }

  static void fill_words(std::int8_t* to, std::int32_t count, std::uint32_t word) noexcept {
    for (std::int32_t i = 0; i < count; ++i) store_word(to + std::int64_t{4} * i, word);
  }

  // A word of depth is a byte of each of 4 pixels: b + 16*g turned by squares of 4 pixels x 4 columns.
  void gather_depth(const act_t* pixels, std::int32_t g, std::int8_t* to) const noexcept {
    const std::int64_t present = std::min<std::int64_t>(4, a_layout_.channels - std::int64_t{4} * g);
    const std::uint32_t mask = depth_mask(g);
    for (std::int32_t m = 0; m < columns_; m += 4, pixels += b_layout_.plane_step) {
      std::uint32_t square[4] = {};
      for (std::int64_t j = 0; j < present; ++j) square[j] = load_word(pixels + j * 4);
      turn(square);
      for (std::int32_t i = 0; i < 4 && m + i < columns_; ++i) {
        store_word(to + std::int64_t{4} * (m + i), to_s8(square[i]) & mask);
      }
    }
  }

  // Byte i of word j and byte j of word i change places.
  static void turn(std::uint32_t (&square)[4]) noexcept {
    const auto low = [](std::uint32_t a, std::uint32_t b) { return (a & 0x00ff00ffU) | (b & 0x00ff00ffU) << 8; };
    const auto high = [](std::uint32_t a, std::uint32_t b) { return (a >> 8 & 0x00ff00ffU) | (b & 0xff00ff00U); };
    const std::uint32_t p0 = low(square[0], square[1]);  // bytes 0 and 2 of words 0 and 1
    const std::uint32_t p1 = high(square[0], square[1]);
    const std::uint32_t q0 = low(square[2], square[3]);
    const std::uint32_t q1 = high(square[2], square[3]);
    square[0] = (p0 & 0xffffU) | q0 << 16;
    square[1] = (p1 & 0xffffU) | q1 << 16;
    square[2] = p0 >> 16 | (q0 & 0xffff0000U);
    square[3] = p1 >> 16 | (q1 & 0xffff0000U);
  }

  static std::uint32_t load_word(const void* from) noexcept {
    std::uint32_t word;
    std::memcpy(&word, from, 4);
    return word;
  }
  static void store_word(void* to, std::uint32_t word) noexcept { std::memcpy(to, &word, 4); }

  // Four stored bytes to s8: q + kActOffset and q differ in the top bit.
  static std::uint32_t to_s8(std::uint32_t stored) noexcept {
    return stored ^ static_cast<std::uint32_t>(kernels::kActOffset) * 0x01010101U;
  }

  // The sum of the four s8 of a word.
  static std::int32_t sum_of(std::uint32_t word) noexcept {
    const std::uint32_t biased = word ^ 0x80808080U;  // each byte 128 more than it is, as u8
    const std::uint32_t pairs = (biased & 0x00ff00ffU) + (biased >> 8 & 0x00ff00ffU);
    return static_cast<std::int32_t>((pairs & 0xffffU) + (pairs >> 16)) - 512;
  }

  // b'[m] = -(Z_a + kActOffset) * sum_k (b[m,k] - Z_b)
  void fill_bias(const std::int8_t* words, std::int32_t* bias) const noexcept {
    std::int32_t constant = 0;
    for (const std::int8_t value : constants_) constant += value * static_cast<std::int32_t>(a_layout_.channels);
    std::fill_n(bias, columns_, constant);
    std::fill_n(bias + columns_, vector_bytes_ / 4 - columns_, 0);
    for (std::int32_t g = 0; g < depth_groups_; ++g) {
      for (std::int32_t m = 0; m < columns_; ++m, words += 4) bias[m] += sum_of(load_word(words));
    }
    for (std::int64_t m = 0; m < columns_; ++m) bias[m] *= -(zero_point_a_ + kernels::kActOffset);
  }

  void multiply(const Run& run, const kernels::QS8GemmArgs& whole) const noexcept {
    const std::int64_t pixels = a_layout_.pixels;
    const std::int64_t row_tiles = ceil_div(pixels, row_.mr);
    const std::int64_t macs = pixels * columns_ * k_groups_ * 4;
    for_ranges(run.parallel, row_tiles, tile_count(run.parallel, row_tiles, macs, kTileMacsMin),
               [&](std::int64_t begin, std::int64_t end, std::int32_t thread) {
                 kernels::QS8GemmArgs args = whole;
                 args.workspace = run.scratch_of(thread);
                 args.pixel_begin = static_cast<std::int32_t>(begin * row_.mr);
                 args.pixel_end = static_cast<std::int32_t>(std::min(end * row_.mr, pixels));
                 row_.fn(args);
               });
  }

  std::uint32_t a_, b_, y_;
  Layout a_layout_, b_layout_, y_layout_;
  std::int32_t zero_point_a_;
  float multiplier_;
  kernels::OutputRange range_;
  bool depth_is_channel_;
  kernels::KernelRow<kernels::QS8GemmFn> row_;
  std::vector<std::int8_t> constants_;  // in the place of b in further walks over the depth
  std::int32_t depth_groups_, k_groups_, columns_;
  std::vector<std::int32_t> group_offset_;
  std::int64_t words_bytes_, packed_bytes_, vector_bytes_;
};

}  // namespace

OperatorResult make_matmul(const OperatorContext& context) {
  const Tensor& a = context.input(0);
  const Tensor& b = context.input(1);
  EDGEML_RETURN_IF_ERROR(check_activation(context, a, DType::s8, 3));
  EDGEML_RETURN_IF_ERROR(check_activation(context, b, DType::s8, 3));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), DType::s8, 3));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 2, DType::f32, {1}));
  EDGEML_RETURN_IF_ERROR(check_multipliers(context, 2));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kDepthAxis, 1, 1, 2));
  EDGEML_RETURN_IF_ERROR(check_act_range(context, kActMin));
  const std::int32_t depth_axis = context.attribute(kDepthAxis);
  if (b.dims[depth_axis] != a.dims[1]) {
    return fail(ErrorCode::shape_mismatch, where(context), ": the first operand has a depth of ", a.dims[1],
                ", the second one of ", b.dims[depth_axis]);
  }
  EDGEML_RETURN_IF_ERROR(check_dims(context, context.output(), {b.dims[3 - depth_axis], a.dims[2]}));
  if (a.dims[1] > kDepthMax) {
    return fail(ErrorCode::accumulator_overflow, where(context), ": a depth of ", a.dims[1], " can leave int32");
  }
  if (Layout(a.dims).sample_step > INT32_MAX || context.output().dims[1] > INT32_MAX / (16 * a.dims[1])) {
    return fail(ErrorCode::too_much_work, where(context), ": an operand is too large");
  }
  return std::make_unique<Matmul>(context);
}

}  // namespace edgeml
