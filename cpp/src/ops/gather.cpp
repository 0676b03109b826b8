// SPDX-License-Identifier: Apache-2.0
// gather: slices of the input along its middle axis, [outer][size][inner], in the order that indices give.
#include <cstring>

#include "base/int_math.h"
#include "ops/element_block.h"
#include "ops/plain_operator.h"

namespace edgeml {
namespace {

enum Attribute : int { kOuter = 0, kSize = 1, kInner = 2 };

class Gather final : public PlainOperator {
 public:
  explicit Gather(const OperatorContext& context)
      : PlainOperator(context),
        index_dtype_(context.input(1).dtype),
        outer_(context.attribute(kOuter)),
        size_(context.attribute(kSize)),
        slice_bytes_(context.attribute(kInner) * dtype_bytes(context.output().dtype)),
        indices_(context.input(1).dims.elements()) {}

 private:
  void run_item(const PlainCall& call) const noexcept override {
    std::byte* y = call.y;
    for (std::int64_t o = 0; o < outer_; ++o) {
      const std::byte* const x = call.x[0] + o * size_ * slice_bytes_;
      for (std::int64_t i = 0; i < indices_; ++i, y += slice_bytes_) {
        std::int64_t index = 0;
        load_s64(index_dtype_, call.x[1] + i * dtype_bytes(index_dtype_), 1, 1, &index);
        if (index < 0) index += size_;
        if (index < 0 || index >= size_) {
          call.run.report_bad_index();
          index = 0;
        }
        std::memcpy(y, x + index * slice_bytes_, static_cast<std::size_t>(slice_bytes_));
      }
    }
  }

  DType index_dtype_;
  std::int64_t outer_, size_, slice_bytes_, indices_;
};

}  // namespace

OperatorResult make_gather(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  EDGEML_RETURN_IF_ERROR(check_is_index(context, context.input(1)));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(0), context.output().dtype));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, kOuter, 3, 1, INT32_MAX));
  const std::int64_t outer = context.attribute(kOuter);
  const std::int64_t slices = outer * context.attribute(kInner);  // below 2^62
  const auto x = checked_mul(slices, context.attribute(kSize));
  const auto y = checked_mul(slices, context.input(1).dims.elements());
  EDGEML_RETURN_IF_ERROR(check_elements(context, context.input(0), x ? *x : -1));
  EDGEML_RETURN_IF_ERROR(check_elements(context, context.output(), y ? *y : -1));
  return std::make_unique<Gather>(context);
}

}  // namespace edgeml
