// SPDX-License-Identifier: Apache-2.0
// A word of C4P has room for 4 channels. Where there is one, its copy holds 4 taps of a kernel row instead: byte j of
// the word at column x is the input at column x + j*dilation_w. One word of depth then covers 4 taps, not one.
#include "ops/one_channel_conv2d.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/pad_plane.h"
#include "ops/gemm_node.h"
#include "ops/layout.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kActMin = 9 };

constexpr std::int32_t kTapsOfWord = 4;

class OneChannelConv2d final : public Operator {
 public:
  OneChannelConv2d(const OperatorContext& context, const Window& window, GemmNode gemm, std::int64_t macs)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_(context.input(0).dims),
        out_(context.output().dims),
        window_(window),
        gemm_(std::move(gemm)),
        macs_(macs),
        stored_zero_point_(context.input(0).zero_point + kernels::kActOffset),
        range_(output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1))) {
    const std::int32_t width = window.reach_w();
    for (std::int32_t ky = 0; ky < window.kernel_h; ++ky) {
      for (std::int32_t kx = 0; kx < window.kernel_w; kx += kTapsOfWord) {
        group_offset_.push_back((ky * window.dilation_h * width + kx * window.dilation_w) * 4);
      }
    }
  }

  Workspace workspace() const override {
    return {.shared = plane_step_of(std::int64_t{window_.reach_h()} * window_.reach_w()),
            .per_thread = gemm_.workspace_bytes()};
  }
  const char* kernel() const override { return gemm_.kernel(); }
  std::int64_t macs_per_sample() const override { return macs_; }
  std::int64_t packed_weight_bytes() const override { return gemm_.packed_bytes(); }

  void run(const Run& run) const noexcept override {
    auto* const copy = reinterpret_cast<act_t*>(run.workspace);
    for (std::int64_t n = 0; n < run.batch; ++n) {
      const act_t* const x = run.tensor<act_t>(x_) + n * in_.sample_step;
      for_ranges(run.parallel, window_.reach_h(),
                 tile_count(run.parallel, window_.reach_h(), workspace().shared, kTileBytesMin),
                 [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                   for (std::int64_t row = begin; row < end; ++row) spread_row(x, static_cast<std::int32_t>(row), copy);
                 });
      kernels::QS8GemmArgs args{};
      args.in = copy;
      args.group_offset = group_offset_.data();
      args.out_w = window_.out_w;
      args.in_row_step = window_.reach_w() * window_.stride_h * 4;
      args.in_col_step = window_.stride_w * 4;
      args.out = run.tensor<act_t>(y_) + n * out_.sample_step;
      args.out_plane_step = out_.plane_step;
      args.out_pixel_step = 4;
      args.range = range_;
      gemm_.run(run, args, out_.pixels);
    }
  }

 private:
  // Row `row` of the padded plane; bytes past its end meet zero weights only.
  void spread_row(const act_t* x, std::int32_t row, act_t* copy) const noexcept {
    const std::int32_t width = window_.reach_w();
    act_t* const out = copy + std::int64_t{row} * width * 4;
    kernels::fill_words(out, width, stored_zero_point_);
    const std::int32_t source = row - window_.pad_top;
    if (source < 0 || source >= window_.in_h) return;
    const act_t* const in = x + std::int64_t{source} * window_.in_w * 4;
    for (std::int32_t j = 0; j < kTapsOfWord; ++j) {
      // Input column c stands at the padded column `first + c`.
      const std::int32_t first = window_.pad_left - j * window_.dilation_w;
      const std::int32_t begin = std::max(0, -first);
      const std::int32_t end = std::min(window_.in_w, width - first);
      for (std::int32_t c = begin; c < end; ++c) {
        out[std::int64_t{first + c} * 4 + j] = in[std::int64_t{c} * 4];
      }
    }
  }

  std::uint32_t x_, y_;
  Layout in_, out_;
  Window window_;
  GemmNode gemm_;
  std::int64_t macs_;
  std::int32_t stored_zero_point_;
  kernels::OutputRange range_;
  std::vector<std::int32_t> group_offset_;
};

// [channels][kernel_h][kernel_w] -> [channels][kernel_h][ceil(kernel_w/4)][4], zero in the tail.
std::vector<std::int8_t> words_of_taps(std::span<const std::int8_t> weights, std::int64_t rows, std::int64_t kernel_w) {
  const std::int64_t padded = round_up(kernel_w, kTapsOfWord);
  std::vector<std::int8_t> words(static_cast<std::size_t>(rows * padded));
  for (std::int64_t row = 0; row < rows; ++row) {
    std::copy_n(weights.begin() + row * kernel_w, kernel_w, words.begin() + row * padded);
  }
  return words;
}

}  // namespace

OperatorResult make_one_channel_conv2d(const OperatorContext& context, const Window& window, std::int64_t macs) {
  const std::int64_t channels = context.output().dims[1];
  const std::vector<std::int8_t> weights =
      words_of_taps(context.input(1).values<std::int8_t>(), channels * window.kernel_h, window.kernel_w);
  if (plane_step_of(std::int64_t{window.reach_h()} * window.reach_w()) > INT32_MAX) {
    return fail(ErrorCode::arena_too_large, where(context), ": the padded input needs 2^31 bytes or more");
  }
  Result<GemmNode> gemm =
      GemmNode::pack(context.kernels.qs8_gemm, {.weights = weights,
                                                .bias = context.input(2).values<std::int32_t>(),
                                                .multiplier = context.input(3).values<float>(),
                                                .channels = channels,
                                                .taps = window.kernel_h * ceil_div(window.kernel_w, kTapsOfWord),
                                                .in_channels = kTapsOfWord,
                                                .zero_point_in = context.input(0).zero_point});
  if (!gemm.ok()) return gemm.error();
  return std::make_unique<OneChannelConv2d>(context, window, std::move(gemm).value(), macs);
}

}  // namespace edgeml
