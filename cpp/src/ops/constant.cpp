// SPDX-License-Identifier: Apache-2.0
// constant: the same int8 activation for every sample, say a table of positions that is added to tokens.
#include <cstring>

#include "base/aligned_buffer.h"
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"
#include "ops/strided_copy.h"

namespace edgeml {
namespace {

using kernels::act_t;

class Constant final : public Operator {
 public:
  Constant(const OperatorContext& context, AlignedBuffer sample)
      : y_(context.node.outputs[0]), layout_(context.output().dims), sample_(std::move(sample)) {
    const auto values = context.input(0).values<std::int8_t>();
    std::size_t next = 0;
    for_each_element(context.output().dims, [&](const auto& at) {
      sample_.as<act_t>()[byte_of(layout_, context.output().dims, at)] =
          static_cast<act_t>(values[next++] + kernels::kActOffset);
    });
  }

  std::int64_t packed_weight_bytes() const override { return sample_.size(); }

  void run(const Run& run) const noexcept override {
    for (std::int64_t n = 0; n < run.batch; ++n) {
      std::memcpy(run.tensor<act_t>(y_) + n * layout_.sample_step, sample_.data(),
                  static_cast<std::size_t>(layout_.sample_step));
    }
  }

 private:
  std::uint32_t y_;
  Layout layout_;
  AlignedBuffer sample_;  // C4P
};

}  // namespace

OperatorResult make_constant(const OperatorContext& context) {
  const Tensor& data = context.input(0);
  const Tensor& y = context.output();
  EDGEML_RETURN_IF_ERROR(check_activation(context, y, DType::s8));
  if (!data.is_constant || data.dtype != DType::s8) {
    return fail(ErrorCode::bad_operand, where(context), ": input 0 must be a constant of s8");
  }
  Dims expected = y.dims;
  expected[0] = 1;
  if (data.dims != expected) {
    return fail(ErrorCode::shape_mismatch, where(context), ": the constant is no sample of \"", y.name, "\"");
  }
  AlignedBuffer sample = AlignedBuffer::allocate(Layout(y.dims).sample_step);
  if (sample.empty()) return fail(ErrorCode::out_of_memory, "no memory for a constant activation");
  return std::make_unique<Constant>(context, std::move(sample));
}

}  // namespace edgeml
