// SPDX-License-Identifier: Apache-2.0
// conv2d: a qs8_gemm per group, over the input where it stands, or over a copy that has the padding in it.
#include <utility>
#include <vector>

#include "kernels/pad_plane.h"
#include "ops/checks.h"
#include "ops/gemm_node.h"
#include "ops/layout.h"
#include "ops/one_channel_conv2d.h"
#include "ops/operator.h"
#include "ops/sparse_conv2d.h"
#include "ops/window.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kStride = 0, kDilation = 2, kPads = 4, kGroups = 8, kActMin = 9 };

class Conv2d final : public Operator {
 public:
  Conv2d(const OperatorContext& context, const Window& window, std::vector<GemmNode> groups,
         std::int64_t group_channels, std::int64_t macs)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_(context.input(0).dims),
        out_(context.output().dims),
        window_(window),
        groups_(std::move(groups)),
        macs_(macs),
        stored_zero_point_(context.input(0).zero_point + kernels::kActOffset),
        range_(output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1))) {
    const std::int64_t width = window.padded() ? window.reach_w() : window.in_w;
    plane_step_ = window.padded() ? plane_step_of(std::int64_t{window.reach_h()} * window.reach_w()) : in_.plane_step;
    workspace_.shared = window.padded() ? in_.groups * plane_step_ : 0;
    if (context.input(1).is_sparse()) workspace_.shared = sparse_conv2d_workspace_bytes(window, in_.groups);
    workspace_.per_thread = groups_.front().workspace_bytes();
    in_row_step_ = static_cast<std::int32_t>(width * 4 * window.stride_h);
    for (std::int64_t ky = 0; ky < window.kernel_h; ++ky) {
      for (std::int64_t kx = 0; kx < window.kernel_w; ++kx) {
        for (std::int64_t g = 0; g < ceil_div(group_channels, 4); ++g) {
          group_offset_.push_back(static_cast<std::int32_t>(
              g * plane_step_ + (ky * window.dilation_h * width + kx * window.dilation_w) * 4));
        }
      }
    }
  }

  Workspace workspace() const override { return workspace_; }
  const char* kernel() const override { return groups_.front().kernel(); }
  std::int64_t macs_per_sample() const override { return macs_; }
  std::int64_t packed_weight_bytes() const override {
    std::int64_t bytes = 0;
    for (const GemmNode& group : groups_) bytes += group.packed_bytes();
    return bytes;
  }

  void run(const Run& run) const noexcept override {
    for (std::int64_t n = 0; n < run.batch; ++n) {
      const act_t* x = run.tensor<act_t>(x_) + n * in_.sample_step;
      act_t* const y = run.tensor<act_t>(y_) + n * out_.sample_step;
      if (window_.padded()) x = copy_padded(run, x);
      const auto group_count = static_cast<std::int64_t>(groups_.size());
      for (std::int64_t g = 0; g < group_count; ++g) {
        kernels::QS8GemmArgs args{};
        args.in = x + g * (in_.groups / group_count) * plane_step_;
        args.group_offset = group_offset_.data();
        args.out_w = window_.out_w;
        args.in_row_step = in_row_step_;
        args.in_col_step = window_.stride_w * 4;
        args.out = y + g * (out_.groups / group_count) * out_.plane_step;
        args.out_plane_step = out_.plane_step;
        args.out_pixel_step = 4;
        args.range = range_;
        groups_[static_cast<std::size_t>(g)].run(run, args, out_.pixels);
      }
    }
  }

 private:
  const act_t* copy_padded(const Run& run, const act_t* x) const noexcept {
    auto* const copy = reinterpret_cast<act_t*>(run.workspace);
    for_ranges(run.parallel, in_.groups, tile_count(run.parallel, in_.groups, in_.groups * plane_step_, kTileBytesMin),
               [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                 for (std::int64_t g = begin; g < end; ++g) {
                   kernels::fill_padding(window_.padding(), stored_zero_point_, copy + g * plane_step_);
                   kernels::copy_inside(x + g * in_.plane_step, window_.padding(), copy + g * plane_step_);
                 }
               });
    return copy;
  }

  std::uint32_t x_, y_;
  Layout in_, out_;
  Window window_;
  std::vector<GemmNode> groups_;
  std::int64_t macs_;
  std::int32_t stored_zero_point_;
  kernels::OutputRange range_;
  std::int64_t plane_step_ = 0;
  std::int32_t in_row_step_ = 0;
  Workspace workspace_;
  std::vector<std::int32_t> group_offset_;
};

// Weights of a grouped convolution as those of a plain one: zeros where an output channel does not see an input
// channel.
std::vector<std::int8_t> expand_groups(std::span<const std::int8_t> weights, std::int64_t channels, std::int64_t taps,
                                       std::int64_t group_channels, std::int64_t groups) {
  std::vector<std::int8_t> dense(static_cast<std::size_t>(channels * taps * group_channels * groups));
  for (std::int64_t o = 0; o < channels; ++o) {
    const std::int64_t first = o / (channels / groups) * group_channels;
    for (std::int64_t t = 0; t < taps; ++t) {
      const auto source = static_cast<std::size_t>((o * taps + t) * group_channels);
      const auto target = static_cast<std::size_t>((o * taps + t) * group_channels * groups + first);
      std::copy_n(weights.begin() + source, group_channels, dense.begin() + target);
    }
  }
  return dense;
}

}  // namespace

OperatorResult make_conv2d(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(0), DType::s8, 4));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), DType::s8, 4));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kGroups, 1, 1, INT32_MAX));
  EDGEML_RETURN_IF_ERROR(check_act_range(context, kActMin));
  const std::int64_t groups = context.attribute(kGroups);
  const std::int64_t in_channels = context.input(0).dims[1];
  const std::int64_t channels = context.output().dims[1];
  const Dims& w = context.input(1).dims;
  if (in_channels % groups != 0 || channels % groups != 0) {
    return fail(ErrorCode::bad_attribute, where(context), ": ", groups, " groups do not divide ", in_channels,
                " input and ", channels, " output channels");
  }
  const std::int64_t group_channels = in_channels / groups;
  if (w.rank != 4) return fail(ErrorCode::shape_mismatch, where(context), ": the weights must have rank 4");
  EDGEML_RETURN_IF_ERROR(check_constant(context, 1, DType::s8, {channels, w[1], w[2], group_channels}));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 2, DType::s32, {channels}));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 3, DType::f32, {channels}));
  EDGEML_RETURN_IF_ERROR(check_multipliers(context, 3));
  const std::int64_t taps = w[1] * w[2];
  const bool sparse = context.input(1).is_sparse();
  if (sparse) {
    if (groups != 1) {
      return fail(ErrorCode::bad_operand, where(context), ": block-sparse weights need groups = 1, it has ", groups);
    }
    EDGEML_RETURN_IF_ERROR(check_sparse_weights(context, view_block_sparse(context.input(1))));
  } else {
    EDGEML_RETURN_IF_ERROR(check_weights(context, channels, taps * group_channels, taps * group_channels, 1));
  }
  const Result<Window> window = read_window(context, {-1, kStride, kDilation, kPads}, w[1], w[2]);
  if (!window.ok()) return window.error();
  const std::int64_t macs = Layout(context.output().dims).pixels * channels * taps * group_channels;
  std::vector<std::int8_t> dense;
  if (sparse) {
    const BlockSparse weights = view_block_sparse(context.input(1));
    const LayerShape shape = sparse_conv2d_shape(window.value(), channels, in_channels);
    if (Layout(context.input(0).dims).pixels > 1 &&
        sparse_wins(context.rates, shape, weights.block_rows, weights.block_count())) {
      return make_sparse_conv2d(context, window.value(), weights, macs);
    }
    EDGEML_RETURN_IF_ERROR(check_dense_size(context, weights));
    dense = to_dense(weights);
  } else if (in_channels == 1 && w[2] > 1) {
    return make_one_channel_conv2d(context, window.value(), macs);
  }

  // Groups whose channels fill whole words run one by one; others as one dense convolution with zeros.
  const bool split = groups == 1 || (group_channels % 4 == 0 && channels / groups % 4 == 0);
  GemmNode::Source source{
      .weights = sparse ? std::span<const std::int8_t>(dense) : context.input(1).values<std::int8_t>(),
      .bias = context.input(2).values<std::int32_t>(),
      .multiplier = context.input(3).values<float>(),
      .channels = split ? channels / groups : channels,
      .taps = taps,
      .in_channels = split ? group_channels : in_channels,
      .zero_point_in = context.input(0).zero_point,
  };
  if (!split) {
    if (channels * taps * in_channels > INT32_MAX / 4)
      return fail(ErrorCode::too_much_work, where(context), ": too many groups");
    dense = expand_groups(source.weights, channels, taps, group_channels, groups);
    source.weights = dense;
  }
  std::vector<GemmNode> nodes;
  for (std::int64_t g = 0; g < (split ? groups : 1); ++g) {
    GemmNode::Source part = source;
    const auto first = static_cast<std::size_t>(g * source.channels);
    const auto count = static_cast<std::size_t>(source.channels);
    const auto row = static_cast<std::size_t>(source.taps * source.in_channels);
    part.weights = source.weights.subspan(first * row, count * row);
    part.bias = source.bias.subspan(first, count);
    part.multiplier = source.multiplier.subspan(first, count);
    Result<GemmNode> node = GemmNode::pack(context.kernels.qs8_gemm, part);
    if (!node.ok()) return node.error();
    nodes.push_back(std::move(node).value());
  }
  const Window& win = window.value();
  const std::int64_t reach =
      (win.padded() ? std::int64_t{win.reach_h()} * win.reach_w() : Layout(context.input(0).dims).pixels);
  if (Layout(context.input(0).dims).groups * plane_step_of(reach) > INT32_MAX) {
    return fail(ErrorCode::arena_too_large, where(context), ": one padded input needs 2^31 bytes or more");
  }
  return std::make_unique<Conv2d>(context, win, std::move(nodes), source.in_channels, macs);
}

}  // namespace edgeml
