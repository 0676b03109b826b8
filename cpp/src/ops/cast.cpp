// SPDX-License-Identifier: Apache-2.0
// cast: the same numbers in another dtype.
#include <algorithm>

#include "ops/element_block.h"
#include "ops/plain_operator.h"

namespace edgeml {
namespace {

// The ends of an integer dtype.
struct Limits {
  std::int64_t low, high;
};

Limits limits_of(DType dtype) {
  const std::int64_t bits = 8 * dtype_bytes(dtype);
  if (dtype == DType::u64) return {0, INT64_MAX};
  if (bits == 64) return {INT64_MIN, INT64_MAX};
  if (!dtype_info(dtype).is_signed) return {0, (std::int64_t{1} << bits) - 1};
  return {-(std::int64_t{1} << (bits - 1)), (std::int64_t{1} << (bits - 1)) - 1};
}

class Cast final : public PlainOperator {
 public:
  explicit Cast(const OperatorContext& context)
      : PlainOperator(context),
        from_(context.input(0).dtype),
        to_(context.output().dtype),
        count_(context.output().dims.elements()) {}

 private:
  void run_item(const PlainCall& call) const noexcept override {
    for_ranges(call.run.parallel, count_, tile_count(call.run.parallel, count_, count_ * 8, kTileBytesMin),
               [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                 for (std::int64_t i = begin; i < end; i += kBlockElements)
                   block(call, i, std::min(kBlockElements, end - i));
               });
  }

  void block(const PlainCall& call, std::int64_t i, std::int64_t n) const noexcept {
    const std::byte* const from = call.x[0] + i * dtype_bytes(from_);
    std::byte* const to = call.y + i * dtype_bytes(to_);
    const bool from_float = dtype_info(from_).is_float;
    // Integers to integers keep the low bits; floats are cut toward zero and held at the ends of the dtype.
    if (dtype_info(to_).is_float || (from_float && to_ == DType::boolean)) {
      double values[kBlockElements];
      load_f64(from_, from, 1, n, values);
      store_f64(to_, values, n, to);
      return;
    }
    std::int64_t values[kBlockElements];
    load_s64(from_, from, 1, n, values);
    if (from_float) {
      const Limits limits = limits_of(to_);
      for (std::int64_t k = 0; k < n; ++k) values[k] = std::clamp(values[k], limits.low, limits.high);
    }
    store_s64(to_, values, n, to);
  }

  DType from_, to_;
  std::int64_t count_;
};

}  // namespace

OperatorResult make_cast(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  EDGEML_RETURN_IF_ERROR(check_elements(context, context.input(0), context.output().dims.elements()));
  return std::make_unique<Cast>(context);
}

}  // namespace edgeml
