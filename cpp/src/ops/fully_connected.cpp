// SPDX-License-Identifier: Apache-2.0
// fully_connected: one qs8_gemm over the channels of each pixel; samples without pixels are the pixels of one product.
#include <utility>
#include <vector>

#include "ops/checks.h"
#include "ops/gemm_node.h"
#include "ops/layer_cost.h"
#include "ops/layout.h"
#include "ops/operator.h"
#include "ops/skipping_gemm.h"
#include "ops/sparse_fully_connected.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kActMin = 0 };

// Gemm: GemmNode, or SkippingGemm.
template <class Gemm>
class FullyConnected final : public Operator {
 public:
  FullyConnected(const OperatorContext& context, Gemm gemm)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_(context.input(0).dims),
        out_(context.output().dims),
        gemm_(std::move(gemm)),
        range_(output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1))) {
    workspace_.per_thread = gemm_.workspace_bytes();
    for (std::int64_t g = 0; g < in_.groups; ++g)
      group_offset_.push_back(static_cast<std::int32_t>(g * in_.plane_step));
  }

  Workspace workspace() const override { return workspace_; }
  const char* kernel() const override { return gemm_.kernel(); }
  std::int64_t macs_per_sample() const override { return in_.channels * out_.channels * in_.pixels; }
  std::int64_t packed_weight_bytes() const override { return gemm_.packed_bytes(); }

  void run(const Run& run) const noexcept override {
    const bool tokens = in_.pixels > 1;
    kernels::QS8GemmArgs args{};
    args.group_offset = group_offset_.data();
    args.out_w = tokens ? static_cast<std::int32_t>(in_.pixels) : 1;
    args.in_row_step = static_cast<std::int32_t>(in_.sample_step);
    args.in_col_step = 4;
    args.out_plane_step = out_.plane_step;
    args.out_pixel_step = tokens ? 4 : out_.sample_step;
    args.range = range_;
    for (std::int64_t n = 0; n < (tokens ? run.batch : 1); ++n) {
      args.in = run.tensor<act_t>(x_) + n * in_.sample_step;
      args.out = run.tensor<act_t>(y_) + n * out_.sample_step;
      gemm_.run(run, args, tokens ? in_.pixels : run.batch);
    }
  }

 private:
  std::uint32_t x_, y_;
  Layout in_, out_;
  Gemm gemm_;
  kernels::OutputRange range_;
  Workspace workspace_;
  std::vector<std::int32_t> group_offset_;
};

OperatorResult make_skipping(const OperatorContext& context, const BlockSparse& weights) {
  const Layout in(context.input(0).dims);
  std::vector<std::int32_t> group_offset;
  group_offset.reserve(static_cast<std::size_t>(in.groups));
  for (std::int64_t g = 0; g < in.groups; ++g) group_offset.push_back(static_cast<std::int32_t>(g * in.plane_step));
  Result<SkippingGemm> gemm =
      SkippingGemm::pack(context.kernels.qs8_gemm, {.weights = weights,
                                                    .bias = context.input(2).values<std::int32_t>(),
                                                    .multiplier = context.input(3).values<float>(),
                                                    .zero_point_in = context.input(0).zero_point,
                                                    .group_offset = group_offset});
  if (!gemm.ok()) return gemm.error();
  return std::make_unique<FullyConnected<SkippingGemm>>(context, std::move(gemm).value());
}

}  // namespace

OperatorResult make_fully_connected(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(0), DType::s8));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), DType::s8, context.input(0).dims.rank));
  EDGEML_RETURN_IF_ERROR(check_act_range(context, kActMin));
  if (context.input(0).dims.rank < 2) {
    return fail(ErrorCode::shape_mismatch, where(context), ": the input has no axis of channels");
  }
  Dims expected = context.input(0).dims;
  expected[1] = context.output().dims[1];
  if (context.output().dims != expected) {
    return fail(ErrorCode::shape_mismatch, where(context), ": input and output differ beside axis 1");
  }
  if (Layout(context.input(0).dims).sample_step > INT32_MAX) {
    return fail(ErrorCode::too_much_work, where(context), ": a sample of the input is larger than 2^31 bytes");
  }
  const std::int64_t depth = context.input(0).dims[1];
  const std::int64_t channels = context.output().dims[1];
  EDGEML_RETURN_IF_ERROR(check_constant(context, 1, DType::s8, {channels, depth}));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 2, DType::s32, {channels}));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 3, DType::f32, {channels}));
  EDGEML_RETURN_IF_ERROR(check_multipliers(context, 3));
  std::vector<std::int8_t> dense;
  if (context.input(1).is_sparse()) {
    const BlockSparse weights = view_block_sparse(context.input(1));
    EDGEML_RETURN_IF_ERROR(check_sparse_weights(context, weights));
    const std::int64_t pixels = Layout(context.input(0).dims).pixels;
    const LayerShape shape{channels, weights.groups, pixels, pixels};
    if (pixels > 1 && sparse_wins(context.rates, shape, weights.block_rows, weights.block_count()))
      return make_sparse_fully_connected(context, weights);
    EDGEML_RETURN_IF_ERROR(check_dense_size(context, weights));
    if (pixels == 1 && SkippingGemm::kept_share(context.kernels.qs8_gemm, weights) < SkippingGemm::kWorthIt)
      return make_skipping(context, weights);
    dense = to_dense(weights);
  } else {
    EDGEML_RETURN_IF_ERROR(check_weights(context, channels, depth, depth, 1));
  }
  Result<GemmNode> gemm = GemmNode::pack(
      context.kernels.qs8_gemm,
      {
          .weights = dense.empty() ? context.input(1).values<std::int8_t>() : std::span<const std::int8_t>(dense),
          .bias = context.input(2).values<std::int32_t>(),
          .multiplier = context.input(3).values<float>(),
          .channels = channels,
          .taps = 1,
          .in_channels = depth,
          .zero_point_in = context.input(0).zero_point,
      });
  if (!gemm.ok()) return gemm.error();
  return std::make_unique<FullyConnected<GemmNode>>(context, std::move(gemm).value());
}

}  // namespace edgeml
