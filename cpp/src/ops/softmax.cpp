// SPDX-License-Identifier: Apache-2.0
// softmax: over the channels of each pixel, to int8 shares of 1/256 or, at the end of a graph, to float32.
#include <algorithm>
#include <array>

#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"

namespace edgeml {
namespace {

using kernels::act_t;

class Softmax final : public Operator {
 public:
  explicit Softmax(const OperatorContext& context)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        layout_(context.input(0).dims),
        to_float_(context.output().dtype == DType::f32),
        row_(context.kernels.qs8_softmax) {
    const auto table = context.input(1).values<std::uint32_t>();
    std::copy(table.begin(), table.end(), table_.begin());
  }

  const char* kernel() const override { return row_.name; }

  void run(const Run& run) const noexcept override {
    for (std::int64_t n = 0; n < run.batch; ++n) {
      // Pixels in runs of whole lines; the float form is dense, so its samples are done at once.
      const std::int64_t runs = to_float_ ? 1 : ceil_div(layout_.pixels, kPixelsPerLine);
      for_ranges(run.parallel, runs,
                 tile_count(run.parallel, runs, layout_.channels * layout_.pixels, kTileElementsMin),
                 [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                   const std::int64_t first = begin * kPixelsPerLine;
                   const std::int64_t last = to_float_ ? layout_.pixels : end * kPixelsPerLine;
                   act_t* const out = to_float_ ? nullptr : run.tensor<act_t>(y_) + n * layout_.sample_step + first * 4;
                   row_.fn({
                       .in = run.tensor<act_t>(x_) + n * layout_.sample_step + first * 4,
                       .plane_step = layout_.plane_step,
                       .pixels = std::min(last, layout_.pixels) - first,
                       .n = static_cast<std::int32_t>(layout_.channels),
                       .table = table_.data(),
                       .out_s8 = out,
                       .out_f32 = to_float_ ? run.tensor<float>(y_) + n * layout_.channels * layout_.pixels : nullptr,
                   });
                 });
    }
  }

 private:
  static constexpr std::int64_t kPixelsPerLine = 16;
  static constexpr std::int64_t kTileElementsMin = 8 * 1024;  // of about 1 ns each

  std::uint32_t x_, y_;
  Layout layout_;
  bool to_float_;
  kernels::KernelRow<kernels::QS8SoftmaxFn> row_;
  std::array<std::uint32_t, 256> table_{};
};

}  // namespace

OperatorResult make_softmax(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(0), DType::s8));
  if (context.input(0).dims.rank < 2) {
    return fail(ErrorCode::shape_mismatch, where(context), ": the input has no axis of channels");
  }
  EDGEML_RETURN_IF_ERROR(check_constant(context, 1, DType::u32, {256}));
  EDGEML_RETURN_IF_ERROR(check_same_dims(context, context.input(0), context.output()));
  const auto table = context.input(1).values<std::uint32_t>();
  if (table[0] < 1) return fail(ErrorCode::bad_table, where(context), ": entry 0 of the table is 0");
  for (const std::uint32_t entry : table) {
    if (entry > kernels::kSoftmaxEntryMax)
      return fail(ErrorCode::bad_table, where(context), ": an entry of the table is above 2^24");
  }
  if (context.output().dtype == DType::s8 &&
      (context.output().scale != 0x1p-8F || context.output().zero_point != -128)) {
    return fail(ErrorCode::bad_quantization, where(context),
                ": an int8 output has the scale 1/256 and the zero point -128");
  }
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), context.output().dtype));
  return std::make_unique<Softmax>(context);
}

}  // namespace edgeml
