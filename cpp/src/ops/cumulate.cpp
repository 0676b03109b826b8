// SPDX-License-Identifier: Apache-2.0
// cumulate: running sums or products along an axis, one after another.
#include "ops/axis_split.h"
#include "ops/element_block.h"
#include "ops/plain_operator.h"

namespace edgeml {
namespace {

enum Attribute : int { kProduct = 0, kAxis = 1, kExclusive = 2, kReverse = 3 };

class Cumulate final : public PlainOperator {
 public:
  explicit Cumulate(const OperatorContext& context)
      : PlainOperator(context),
        dtype_(context.output().dtype),
        split_(item_dims(context.input(0)), context.attribute(kAxis)),
        product_(context.attribute(kProduct) != 0),
        exclusive_(context.attribute(kExclusive) != 0),
        reverse_(context.attribute(kReverse) != 0) {}

  std::int64_t work_per_sample() const override { return split_.outer * split_.size * split_.inner; }

 private:
  void run_item(const PlainCall& call) const noexcept override {
    for (std::int64_t o = 0; o < split_.outer; ++o) {
      for (std::int64_t i = 0; i < split_.inner; ++i) {
        const std::int64_t first = o * split_.size * split_.inner + i;
        if (dtype_info(dtype_).is_float) {
          line<double>(call, first, load_f64, store_f64);
        } else {
          line<std::int64_t>(call, first, load_s64, store_s64);
        }
      }
    }
  }

  template <class T, class Load, class Store>
  void line(const PlainCall& call, std::int64_t first, const Load& load, const Store& store) const noexcept {
    T total = product_ ? T{1} : T{0};
    for (std::int64_t k = 0; k < split_.size; ++k) {
      const std::int64_t at = (first + (reverse_ ? split_.size - 1 - k : k) * split_.inner) * dtype_bytes(dtype_);
      T value{};
      load(dtype_, call.x[0] + at, 1, 1, &value);
      const T before = total;
      if constexpr (std::is_floating_point_v<T>) {
        total = product_ ? total * value : total + value;
      } else {  // wraps
        const auto a = static_cast<std::uint64_t>(total);
        const auto b = static_cast<std::uint64_t>(value);
        total = static_cast<T>(product_ ? a * b : a + b);
      }
      store(dtype_, exclusive_ ? &before : &total, 1, call.y + at);
    }
  }

  DType dtype_;
  AxisSplit split_;
  bool product_, exclusive_, reverse_;
};

}  // namespace

OperatorResult make_cumulate(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  const Dims x = item_dims(context.input(0));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(0), context.output().dtype));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kProduct, 1, 0, 1));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kAxis, 1, 0, x.rank - 1));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kExclusive, 2, 0, 1));
  EDGEML_RETURN_IF_ERROR(check_elements(context, context.output(), x.elements()));
  return std::make_unique<Cumulate>(context);
}

}  // namespace edgeml
