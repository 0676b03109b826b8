// SPDX-License-Identifier: Apache-2.0
// index: checks indices against a size and counts negative ones from its end; what comes out is in [0, size).
#include <algorithm>

#include "ops/element_block.h"
#include "ops/plain_operator.h"

namespace edgeml {
namespace {

class Index final : public PlainOperator {
 public:
  explicit Index(const OperatorContext& context)
      : PlainOperator(context),
        dtype_(context.input(0).dtype),
        count_(context.output().dims.elements()),
        size_(context.attribute(0)) {}

 private:
  void run_item(const PlainCall& call) const noexcept override {
    auto* const y = reinterpret_cast<std::int64_t*>(call.y);
    for (std::int64_t begin = 0; begin < count_; begin += kBlockElements) {
      const std::int64_t n = std::min(kBlockElements, count_ - begin);
      load_s64(dtype_, call.x[0] + begin * dtype_bytes(dtype_), 1, n, y + begin);
      for (std::int64_t i = begin; i < begin + n; ++i) {
        if (y[i] < 0) y[i] += size_;
        if (y[i] >= 0 && y[i] < size_) continue;
        y[i] = 0;
        call.run.report_bad_index();
      }
    }
  }

  DType dtype_;
  std::int64_t count_, size_;
};

}  // namespace

OperatorResult make_index(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  EDGEML_RETURN_IF_ERROR(check_is_index(context, context.input(0)));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.output(), DType::s64));
  EDGEML_RETURN_IF_ERROR(check_elements(context, context.input(0), context.output().dims.elements()));
  EDGEML_RETURN_IF_ERROR(check_attribute_range(context, 0, 1, 1, INT32_MAX));
  return std::make_unique<Index>(context);
}

}  // namespace edgeml
