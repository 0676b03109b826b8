// SPDX-License-Identifier: Apache-2.0
#include "ops/sparse_fully_connected.h"

#include <utility>
#include <vector>

#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/spmm_node.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kActMin = 0 };

class SparseFullyConnected final : public Operator {
 public:
  SparseFullyConnected(const OperatorContext& context, SpmmNode spmm)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_(context.input(0).dims),
        out_(context.output().dims),
        spmm_(std::move(spmm)),
        range_(output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1))) {}

  const char* kernel() const override { return spmm_.kernel(); }
  std::int64_t macs_per_sample() const override { return in_.channels * out_.channels * in_.pixels; }
  std::int64_t packed_weight_bytes() const override { return spmm_.packed_bytes(); }

  void run(const Run& run) const noexcept override {
    kernels::QS8SpmmArgs args{};
    args.out_plane_step = out_.plane_step;
    args.range = range_;
    for (std::int64_t n = 0; n < run.batch; ++n) {
      args.in = run.tensor<act_t>(x_) + n * in_.sample_step;
      args.out = run.tensor<act_t>(y_) + n * out_.sample_step;
      spmm_.run(run, args, in_.pixels);
    }
  }

 private:
  std::uint32_t x_, y_;
  Layout in_, out_;
  SpmmNode spmm_;
  kernels::OutputRange range_;
};

}  // namespace

OperatorResult make_sparse_fully_connected(const OperatorContext& context, const BlockSparse& weights) {
  const Layout in(context.input(0).dims);
  std::vector<std::int32_t> group_offset;
  group_offset.reserve(static_cast<std::size_t>(in.groups));
  for (std::int64_t g = 0; g < in.groups; ++g) group_offset.push_back(static_cast<std::int32_t>(g * in.plane_step));
  Result<SpmmNode> spmm = SpmmNode::pack(context.kernels.qs8_spmm, {.weights = weights,
                                                                    .bias = context.input(2).values<std::int32_t>(),
                                                                    .multiplier = context.input(3).values<float>(),
                                                                    .zero_point_in = context.input(0).zero_point,
                                                                    .group_offset = group_offset});
  if (!spmm.ok()) return spmm.error();
  return std::make_unique<SparseFullyConnected>(context, std::move(spmm).value());
}

}  // namespace edgeml
