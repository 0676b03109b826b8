// SPDX-License-Identifier: Apache-2.0
// top_k: indices along an axis of the largest or smallest elements, best first; of equals the first one is better.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/int_math.h"
#include "ops/axis_split.h"
#include "ops/element_block.h"
#include "ops/plain_operator.h"

namespace edgeml {
namespace {

enum Attribute : int { kLargest = 0, kAxis = 1 };

class TopK final : public PlainOperator {
 public:
  explicit TopK(const OperatorContext& context)
      : PlainOperator(context),
        dtype_(context.input(0).dtype),
        split_(item_dims(context.input(0)), context.attribute(kAxis)),
        k_(context.output().dims.elements() / (split_.outer * split_.inner)),
        largest_(context.attribute(kLargest) != 0) {}

  // The values of a line, then their indices.
  Workspace workspace() const override { return {.shared = round_up(16 * split_.size, 64), .per_thread = 0}; }
  std::int64_t work_per_sample() const override { return split_.outer * split_.size * split_.inner * 32; }

 private:
  void run_item(const PlainCall& call) const noexcept override {
    auto* const y = reinterpret_cast<std::int64_t*>(call.y);
    auto* const order = reinterpret_cast<std::int64_t*>(call.run.workspace) + split_.size;
    for (std::int64_t o = 0; o < split_.outer; ++o) {
      for (std::int64_t i = 0; i < split_.inner; ++i) {
        const std::byte* const x = call.x[0] + (o * split_.size * split_.inner + i) * dtype_bytes(dtype_);
        if (dtype_info(dtype_).is_float) {
          sort_line(x, reinterpret_cast<double*>(call.run.workspace), order, load_f64);
        } else {
          sort_line(x, reinterpret_cast<std::int64_t*>(call.run.workspace), order, load_s64);
        }
        for (std::int64_t k = 0; k < k_; ++k) y[(o * k_ + k) * split_.inner + i] = order[k];
      }
    }
  }

  template <class T, class Load>
  void sort_line(const std::byte* x, T* values, std::int64_t* order, const Load& load) const noexcept {
    for (std::int64_t begin = 0; begin < split_.size; begin += kBlockElements) {
      const std::int64_t n = std::min(kBlockElements, split_.size - begin);
      load(dtype_, x + begin * split_.inner * dtype_bytes(dtype_), split_.inner, n, values + begin);
    }
    std::iota(order, order + split_.size, std::int64_t{0});
    // A total order, NaN above everything: then the result does not depend on the algorithm.
    const auto nan_or = [](T value) {
      if constexpr (std::is_floating_point_v<T>) return std::isnan(value);
      return false;
    };
    const auto less = [&](T a, T b) { return nan_or(b) ? !nan_or(a) : !nan_or(a) && a < b; };
    std::partial_sort(order, order + k_, order + split_.size, [&](std::int64_t a, std::int64_t b) {
      const T first = largest_ ? values[b] : values[a];
      const T second = largest_ ? values[a] : values[b];
      if (less(first, second)) return true;
      return less(second, first) ? false : a < b;
    });
  }

  DType dtype_;
  AxisSplit split_;
  std::int64_t k_;
  bool largest_;
};

}  // namespace

OperatorResult make_top_k(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  const Dims x = item_dims(context.input(0));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.output(), DType::s64));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kLargest, 1, 0, 1));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kAxis, 1, 0, x.rank - 1));
  const AxisSplit split(x, context.attribute(kAxis));
  const std::int64_t lines = split.outer * split.inner;
  const std::int64_t k = context.output().dims.elements() / lines;
  EDGEML_RETURN_IF_ERROR(check_elements(context, context.output(), lines * std::clamp<std::int64_t>(k, 1, split.size)));
  return std::make_unique<TopK>(context);
}

}  // namespace edgeml
