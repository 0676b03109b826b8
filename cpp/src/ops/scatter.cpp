// SPDX-License-Identifier: Apache-2.0
// scatter: a copy of the data, [size][inner], into which slices are put, or folded, where indices say, one after
// another.
#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/int_math.h"
#include "ops/element_block.h"
#include "ops/plain_operator.h"

namespace edgeml {
namespace {

enum Attribute : int { kSize = 0, kInner = 1, kFunction = 2 };
enum class Fold : std::int32_t { replace = 0, add = 1, mul = 2, min = 3, max = 4 };

template <class T>
T combine(Fold fold, T a, T b) {
  // Integers wrap.
  using U = std::conditional_t<std::is_floating_point_v<T>, T, std::uint64_t>;
  switch (fold) {
    case Fold::add:
      return static_cast<T>(static_cast<U>(a) + static_cast<U>(b));
    case Fold::mul:
      return static_cast<T>(static_cast<U>(a) * static_cast<U>(b));
    case Fold::min:
      return b < a ? b : a;
    case Fold::max:
      return b > a ? b : a;
    default:
      return b;
  }
}

class Scatter final : public PlainOperator {
 public:
  explicit Scatter(const OperatorContext& context)
      : PlainOperator(context),
        dtype_(context.output().dtype),
        index_dtype_(context.input(1).dtype),
        fold_(static_cast<Fold>(context.attribute(kFunction))),
        size_(context.attribute(kSize)),
        inner_(context.attribute(kInner)),
        indices_(context.input(1).dims.elements()) {}

  std::int32_t in_place_inputs() const override { return 1; }

 private:
  void run_item(const PlainCall& call) const noexcept override {
    const std::int64_t slice_bytes = inner_ * dtype_bytes(dtype_);
    if (call.x[0] != call.y) std::memcpy(call.y, call.x[0], static_cast<std::size_t>(size_ * slice_bytes));
    for (std::int64_t i = 0; i < indices_; ++i) {
      std::int64_t index = 0;
      load_s64(index_dtype_, call.x[1] + i * dtype_bytes(index_dtype_), 1, 1, &index);
      if (index < 0) index += size_;
      if (index < 0 || index >= size_) {
        call.run.report_bad_index();
        continue;
      }
      const std::byte* const update = call.x[2] + i * slice_bytes;
      std::byte* const y = call.y + index * slice_bytes;
      if (fold_ == Fold::replace) {
        std::memcpy(y, update, static_cast<std::size_t>(slice_bytes));
      } else if (dtype_info(dtype_).is_float) {
        fold<double>(update, y, load_f64, store_f64);
      } else {
        fold<std::int64_t>(update, y, load_s64, store_s64);
      }
    }
  }

  template <class T, class Load, class Store>
  void fold(const std::byte* update, std::byte* y, const Load& load, const Store& store) const noexcept {
    T values[kBlockElements];
    T others[kBlockElements];
    for (std::int64_t begin = 0; begin < inner_; begin += kBlockElements) {
      const std::int64_t n = std::min(kBlockElements, inner_ - begin);
      const std::int64_t at = begin * dtype_bytes(dtype_);
      load(dtype_, y + at, 1, n, values);
      load(dtype_, update + at, 1, n, others);
      for (std::int64_t k = 0; k < n; ++k) values[k] = combine(fold_, values[k], others[k]);
      store(dtype_, values, n, y + at);
    }
  }

  DType dtype_, index_dtype_;
  Fold fold_;
  std::int64_t size_, inner_, indices_;
};

}  // namespace

OperatorResult make_scatter(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  EDGEML_RETURN_IF_ERROR(check_is_index(context, context.input(1)));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(0), context.output().dtype));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(2), context.output().dtype));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kSize, 2, 1, INT32_MAX));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kFunction, 1, 0, 4));
  const std::int64_t inner = context.attribute(kInner);
  const std::int64_t size = inner * context.attribute(kSize);  // below 2^62
  const auto updates = checked_mul(inner, context.input(1).dims.elements());
  EDGEML_RETURN_IF_ERROR(check_elements(context, context.input(0), size));
  EDGEML_RETURN_IF_ERROR(check_elements(context, context.output(), size));
  EDGEML_RETURN_IF_ERROR(check_elements(context, context.input(2), updates ? *updates : -1));
  return std::make_unique<Scatter>(context);
}

}  // namespace edgeml
