// SPDX-License-Identifier: Apache-2.0
// lut: a table of 256 entries in place of any function of one int8 value; the entries are int8 or, at the end of a
// graph, float32.
#include <array>

#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"

namespace edgeml {
namespace {

using kernels::act_t;

// Entry of the artifact's table (i is for q = i - 128) that a stored byte selects.
constexpr std::size_t entry_of(std::size_t stored_byte) {
  const int entry = static_cast<act_t>(stored_byte) - kernels::kActOffset + 128;
  return static_cast<std::size_t>(entry);
}

class LutS8 final : public Operator {
 public:
  explicit LutS8(const OperatorContext& context)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        layout_(context.output().dims),
        row_(context.kernels.x8_lut) {
    const auto table = context.input(1).values<std::int8_t>();
    for (std::size_t byte = 0; byte < 256; ++byte) {
      table_[byte] = static_cast<std::uint8_t>(table[entry_of(byte)] + kernels::kActOffset);
    }
  }

  const char* kernel() const override { return row_.name; }
  std::int32_t in_place_inputs() const override { return 1; }

  void run(const Run& run) const noexcept override {
    for_bytes(run.parallel, run.batch * layout_.sample_step, [&](std::int64_t begin, std::int64_t end) {
      row_.fn({run.tensor<std::uint8_t>(x_) + begin, run.tensor<std::uint8_t>(y_) + begin, end - begin, table_.data()});
    });
  }

 private:
  std::uint32_t x_, y_;
  Layout layout_;
  kernels::KernelRow<kernels::X8LutFn> row_;
  alignas(64) std::array<std::uint8_t, 256> table_{};
};

class LutF32 final : public Operator {
 public:
  explicit LutF32(const OperatorContext& context)
      : x_(context.node.inputs[0]), y_(context.node.outputs[0]), in_(context.input(0).dims) {
    const auto table = context.input(1).values<float>();
    for (std::size_t byte = 0; byte < 256; ++byte) table_[byte] = table[entry_of(byte)];
  }

  void run(const Run& run) const noexcept override {
    float* y = run.tensor<float>(y_);
    for (std::int64_t n = 0; n < run.batch; ++n) {
      const auto* const x = run.tensor<std::uint8_t>(x_) + n * in_.sample_step;
      for (std::int64_t c = 0; c < in_.channels; ++c) {
        for (std::int64_t p = 0; p < in_.pixels; ++p) *y++ = table_[x[in_.byte_of(c, p)]];
      }
    }
  }

 private:
  std::uint32_t x_, y_;
  Layout in_;
  std::array<float, 256> table_{};
};

}  // namespace

OperatorResult make_lut(const OperatorContext& context) {
  const DType dtype = context.input(1).dtype;
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(0), DType::s8));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 1, dtype == DType::f32 ? DType::f32 : DType::s8, {256}));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), dtype));
  EDGEML_RETURN_IF_ERROR(check_same_dims(context, context.input(0), context.output()));
  if (dtype == DType::f32) return std::make_unique<LutF32>(context);
  return std::make_unique<LutS8>(context);
}

}  // namespace edgeml
