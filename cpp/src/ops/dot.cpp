// SPDX-License-Identifier: Apache-2.0
// dot: products of matrices [..., m, k] and [..., k, n], their leading axes broadcast. Each output has one accumulator,
// k ascends (numerics.md, section 6.3); the lanes of the inner loop are outputs, so vectors change nothing.
#include <algorithm>

#include "ops/broadcast.h"
#include "ops/element_block.h"
#include "ops/plain_operator.h"
#include "ops/strided_rows.h"

namespace edgeml {
namespace {

constexpr std::int64_t kColumns = 64;  // outputs of a row that are summed together

// A matrix product's dims without the two last axes.
Dims batch_dims(Dims dims) {
  dims[dims.rank - 1] = 1;
  dims[dims.rank - 2] = 1;
  return dims;
}

std::array<std::int64_t, kTensorRankMax> batch_steps(const Dims& x, const Dims& y) {
  auto steps = broadcast_steps_of(x, y);
  steps[static_cast<std::size_t>(y.rank - 1)] = 0;
  steps[static_cast<std::size_t>(y.rank - 2)] = 0;
  return steps;
}

// [1, columns] += x * row of the right matrix.
template <class T, class Row>
void add_row(T x, const Row* row, std::int64_t columns, T* sums) {
  for (std::int64_t j = 0; j < columns; ++j) sums[j] += x * static_cast<T>(row[j]);
}

class Dot final : public PlainOperator {
 public:
  Dot(const OperatorContext& context, const Dims& a, const Dims& b, const Dims& y)
      : PlainOperator(context),
        dtype_(context.output().dtype),
        m_(y[y.rank - 2]),
        n_(y[y.rank - 1]),
        k_(a[a.rank - 1]),
        matrices_(batch_dims(y), {batch_steps(a, y), batch_steps(b, y)}) {}

  std::int64_t macs_per_sample() const override { return matrices_.rows() * matrices_.length() * m_ * n_ * k_; }

 private:
  void run_item(const PlainCall& call) const noexcept override {
    const std::int64_t matrices = matrices_.rows() * matrices_.length();
    const std::int64_t strips = ceil_div(n_, kColumns);
    const std::int64_t units = matrices * strips;
    for_ranges(call.run.parallel, units, tile_count(call.run.parallel, units, macs_per_sample(), kTileMacsMin),
               [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                 for (std::int64_t unit = begin; unit < end; ++unit) {
                   const std::int64_t matrix = unit / strips;
                   const std::int64_t row = matrix / matrices_.length();
                   const std::int64_t at = matrix % matrices_.length();
                   matrices_.for_rows(row, row + 1, [&](const auto& offset) {
                     const std::int64_t bytes = dtype_bytes(dtype_);
                     strip(call.x[0] + (offset[0] + at * matrices_.step(0)) * bytes,
                           call.x[1] + (offset[1] + at * matrices_.step(1)) * bytes, call.y + matrix * m_ * n_ * bytes,
                           unit % strips * kColumns);
                   });
                 }
               });
  }

  // Columns [first, first + 64) of one product.
  void strip(const std::byte* a, const std::byte* b, std::byte* y, std::int64_t first) const noexcept {
    const std::int64_t columns = std::min(kColumns, n_ - first);
    for (std::int64_t i = 0; i < m_; ++i) {
      const std::byte* const row = a + i * k_ * dtype_bytes(dtype_);
      std::byte* const to = y + (i * n_ + first) * dtype_bytes(dtype_);
      if (dtype_ == DType::f32) {
        double sums[kColumns] = {};
        for (std::int64_t k = 0; k < k_; ++k) {
          add_row(static_cast<double>(reinterpret_cast<const float*>(row)[k]),
                  reinterpret_cast<const float*>(b) + k * n_ + first, columns, sums);
        }
        store_f64(dtype_, sums, columns, to);
      } else if (dtype_info(dtype_).is_float) {
        sum_row<double>(row, b, first, columns, load_f64,
                        [&](const double* sums) { store_f64(dtype_, sums, columns, to); });
      } else {
        const auto load = [](DType dtype, const std::byte* from, std::int64_t step, std::int64_t n,
                             std::uint64_t* bits) {
          load_s64(dtype, from, step, n, reinterpret_cast<std::int64_t*>(bits));
        };
        sum_row<std::uint64_t>(row, b, first, columns, load, [&](const std::uint64_t* sums) {
          store_s64(dtype_, reinterpret_cast<const std::int64_t*>(sums), columns, to);
        });
      }
    }
  }

  template <class T, class Load, class Store>
  void sum_row(const std::byte* row, const std::byte* b, std::int64_t first, std::int64_t columns, const Load& load,
               const Store& store) const noexcept {
    T sums[kColumns] = {};
    T right[kColumns];
    for (std::int64_t k = 0; k < k_; ++k) {
      T left{};
      load(dtype_, row + k * dtype_bytes(dtype_), 1, 1, &left);
      load(dtype_, b + (k * n_ + first) * dtype_bytes(dtype_), 1, columns, right);
      add_row(left, right, columns, sums);
    }
    store(sums);
  }

  DType dtype_;
  std::int64_t m_, n_, k_;
  StridedRows<2> matrices_;
};

Status check_shapes(const OperatorContext& context, const Dims& a, const Dims& b, const Dims& y) {
  bool fits = a.rank >= 2 && b.rank >= 2 && y.rank >= 2 && a.rank <= y.rank && b.rank <= y.rank;
  fits = fits && a[a.rank - 1] == b[b.rank - 2] && a[a.rank - 2] == y[y.rank - 2] && b[b.rank - 1] == y[y.rank - 1];
  for (const Dims& x : {a, b}) {
    for (std::int32_t axis = 3; fits && axis <= x.rank; ++axis)
      fits = x[x.rank - axis] == 1 || x[x.rank - axis] == y[y.rank - axis];
  }
  if (fits) return Done{};
  return fail(ErrorCode::shape_mismatch, where(context),
              ": the inputs are not matrices [..., m, k] and [..., k, n] whose product is the output");
}

}  // namespace

OperatorResult make_dot(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(0), context.output().dtype));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(1), context.output().dtype));
  const Dims a = item_dims(context.input(0));
  const Dims b = item_dims(context.input(1));
  const Dims y = item_dims(context.output());
  EDGEML_RETURN_IF_ERROR(check_shapes(context, a, b, y));
  return std::make_unique<Dot>(context, a, b, y);
}

}  // namespace edgeml
