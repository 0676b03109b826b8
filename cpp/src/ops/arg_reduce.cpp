// SPDX-License-Identifier: Apache-2.0
// arg_reduce: the index of the largest or smallest element along an axis.
#include "ops/axis_split.h"
#include "ops/element_block.h"
#include "ops/plain_operator.h"

namespace edgeml {
namespace {

enum Attribute : int { kLargest = 0, kAxis = 1, kLast = 2 };

class ArgReduce final : public PlainOperator {
 public:
  explicit ArgReduce(const OperatorContext& context)
      : PlainOperator(context),
        dtype_(context.input(0).dtype),
        split_(item_dims(context.input(0)), context.attribute(kAxis)),
        largest_(context.attribute(kLargest) != 0),
        last_(context.attribute(kLast) != 0) {}

  std::int64_t work_per_sample() const override { return split_.outer * split_.size * split_.inner; }

 private:
  void run_item(const PlainCall& call) const noexcept override {
    auto* y = reinterpret_cast<std::int64_t*>(call.y);
    for (std::int64_t o = 0; o < split_.outer; ++o) {
      for (std::int64_t i = 0; i < split_.inner; ++i) {
        const std::byte* const x = call.x[0] + (o * split_.size * split_.inner + i) * dtype_bytes(dtype_);
        *y++ = dtype_info(dtype_).is_float ? best<double>(x, load_f64) : best<std::int64_t>(x, load_s64);
      }
    }
  }

  template <class T, class Load>
  std::int64_t best(const std::byte* x, const Load& load) const noexcept {
    T values[kBlockElements];
    T best_value{};
    std::int64_t best = 0;
    for (std::int64_t begin = 0; begin < split_.size; begin += kBlockElements) {
      const std::int64_t n = std::min(kBlockElements, split_.size - begin);
      load(dtype_, x + begin * split_.inner * dtype_bytes(dtype_), split_.inner, n, values);
      for (std::int64_t k = 0; k < n; ++k) {
        const bool better = largest_ ? values[k] > best_value : values[k] < best_value;
        if (begin + k == 0 || better || (last_ && values[k] == best_value)) {
          best_value = values[k];
          best = begin + k;
        }
      }
    }
    return best;
  }

  DType dtype_;
  AxisSplit split_;
  bool largest_, last_;
};

}  // namespace

OperatorResult make_arg_reduce(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  const Dims x = item_dims(context.input(0));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.output(), DType::s64));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kLargest, 1, 0, 1));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kAxis, 1, 0, x.rank - 1));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kLast, 1, 0, 1));
  const AxisSplit split(x, context.attribute(kAxis));
  EDGEML_RETURN_IF_ERROR(check_elements(context, context.output(), split.outer * split.inner));
  return std::make_unique<ArgReduce>(context);
}

}  // namespace edgeml
