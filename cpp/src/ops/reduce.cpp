// SPDX-License-Identifier: Apache-2.0
// reduce: one value of all elements along some axes, in a fixed order (numerics.md, section 6.3).
#include <algorithm>
#include <cmath>
#include <limits>

#include "ops/element_block.h"
#include "ops/plain_operator.h"
#include "ops/strided_rows.h"

namespace edgeml {
namespace {

enum Attribute : int { kFunction = 0, kAxes = 1 };
enum class Fold : std::int32_t { sum = 1, mean = 2, max = 3, min = 4, prod = 5, sum_square = 6, sum_abs = 7 };
constexpr std::int64_t kLanes = 16;  // element i is folded into lane i mod 16, the lanes by a tree of neighbours

template <class T>
T start_of(Fold fold) {
  using Limits = std::numeric_limits<T>;
  if (fold == Fold::max) return Limits::has_infinity ? -Limits::infinity() : Limits::lowest();
  if (fold == Fold::min) return Limits::has_infinity ? Limits::infinity() : Limits::max();
  return fold == Fold::prod ? T{1} : T{0};
}

template <class T>
bool is_nan(T value) {
  if constexpr (std::is_floating_point_v<T>) return std::isnan(value);
  return false;
}

template <class T>
T combine(Fold fold, T a, T b) {
  switch (fold) {
    case Fold::max:
      return b > a || is_nan(b) ? b : a;
    case Fold::min:
      return b < a || is_nan(b) ? b : a;
    case Fold::prod:
      return a * b;
    default:
      return a + b;
  }
}

template <class T>
void prepare(Fold fold, T* values, std::int64_t n) {
  if (fold == Fold::sum_square) {
    for (std::int64_t i = 0; i < n; ++i) values[i] *= values[i];
  } else if (fold == Fold::sum_abs) {
    for (std::int64_t i = 0; i < n; ++i) values[i] = values[i] < T{0} ? T{0} - values[i] : values[i];
  }
}

template <class T>
class Lanes {
 public:
  explicit Lanes(Fold fold) : fold_(fold) { std::fill(std::begin(lanes_), std::end(lanes_), start_of<T>(fold)); }

  void add(T* values, std::int64_t n) {
    prepare(fold_, values, n);
    for (std::int64_t i = 0; i < n; ++i, ++at_) {
      T& lane = lanes_[at_ % kLanes];
      lane = combine(fold_, lane, values[i]);
    }
  }

  T result() {
    for (std::int64_t half = kLanes / 2; half >= 1; half /= 2) {
      for (std::int64_t i = 0; i < half; ++i) lanes_[i] = combine(fold_, lanes_[2 * i], lanes_[2 * i + 1]);
    }
    return lanes_[0];
  }

 private:
  Fold fold_;
  T lanes_[kLanes];
  std::int64_t at_ = 0;
};

// The axes of one kind, with 1 in the place of the others.
Dims axes_of(const Dims& x, std::int32_t mask, bool reduced) {
  Dims dims = x;
  for (std::int32_t axis = 0; axis < x.rank; ++axis) {
    if (((mask >> axis & 1) != 0) != reduced) dims[axis] = 1;
  }
  return dims;
}

class Reduce final : public PlainOperator {
 public:
  Reduce(const OperatorContext& context, const Dims& x)
      : PlainOperator(context),
        dtype_(context.output().dtype),
        fold_(static_cast<Fold>(context.attribute(kFunction))),
        kept_(axes_of(x, context.attribute(kAxes), false), {dense_steps(x)}),
        reduced_(axes_of(x, context.attribute(kAxes), true), {dense_steps(x)}),
        count_(x.elements()) {}

  std::int64_t work_per_sample() const override { return count_; }

 private:
  void run_item(const PlainCall& call) const noexcept override {
    const std::int64_t outputs = kept_.rows() * kept_.length();
    for_ranges(call.run.parallel, outputs, tile_count(call.run.parallel, outputs, count_ * 16, kTileBytesMin),
               [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                 for (std::int64_t i = begin; i < end; ++i) {
                   const std::int64_t row = i / kept_.length();
                   kept_.for_rows(row, row + 1, [&](const auto& offset) {
                     const std::int64_t at = offset[0] + i % kept_.length() * kept_.step(0);
                     output(call.x[0] + at * dtype_bytes(dtype_), call.y + i * dtype_bytes(dtype_));
                   });
                 }
               });
  }

  void output(const std::byte* x, std::byte* y) const noexcept {
    if (dtype_info(dtype_).is_float) {
      double value = fold<double>(x, load_f64);
      if (fold_ == Fold::mean) value /= static_cast<double>(reduced_.rows() * reduced_.length());
      store_f64(dtype_, &value, 1, y);
    } else if (dtype_ == DType::u64) {
      const auto value = static_cast<std::int64_t>(fold<std::uint64_t>(
          x, [](DType dtype, const std::byte* from, std::int64_t step, std::int64_t n, std::uint64_t* to) {
            load_s64(dtype, from, step, n, reinterpret_cast<std::int64_t*>(to));
          }));
      store_s64(dtype_, &value, 1, y);
    } else {
      // Sums wrap: unsigned where a signed overflow would be undefined.
      const bool ordered = fold_ == Fold::max || fold_ == Fold::min || fold_ == Fold::sum_abs;
      const std::int64_t value =
          ordered
              ? fold<std::int64_t>(x, load_s64)
              : static_cast<std::int64_t>(fold<std::uint64_t>(
                    x, [](DType dtype, const std::byte* from, std::int64_t step, std::int64_t n, std::uint64_t* to) {
                      load_s64(dtype, from, step, n, reinterpret_cast<std::int64_t*>(to));
                    }));
      const auto terms = static_cast<std::int64_t>(reduced_.rows() * reduced_.length());
      const std::int64_t result = fold_ == Fold::mean ? value / terms : value;
      store_s64(dtype_, &result, 1, y);
    }
  }

  template <class T, class Load>
  T fold(const std::byte* x, const Load& load) const noexcept {
    Lanes<T> lanes(fold_);
    T values[kBlockElements];
    reduced_.for_rows(0, reduced_.rows(), [&](const auto& offset) {
      for (std::int64_t i = 0; i < reduced_.length(); i += kBlockElements) {
        const std::int64_t n = std::min(kBlockElements, reduced_.length() - i);
        load(dtype_, x + (offset[0] + i * reduced_.step(0)) * dtype_bytes(dtype_), reduced_.step(0), n, values);
        lanes.add(values, n);
      }
    });
    return lanes.result();
  }

  DType dtype_;
  Fold fold_;
  StridedRows<1> kept_, reduced_;
  std::int64_t count_;
};

}  // namespace

OperatorResult make_reduce(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  const Dims x = item_dims(context.input(0));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(0), context.output().dtype));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kFunction, 1, 1, 7));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kAxes, 1, 0, (1 << x.rank) - 1));
  EDGEML_RETURN_IF_ERROR(
      check_elements(context, context.output(), axes_of(x, context.attribute(kAxes), false).elements()));
  return std::make_unique<Reduce>(context, x);
}

}  // namespace edgeml
