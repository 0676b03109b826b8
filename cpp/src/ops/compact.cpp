// SPDX-License-Identifier: Apache-2.0
// compact: the positions of the true elements, ascending, then -1 up to the end.
#include <algorithm>

#include "ops/plain_operator.h"

namespace edgeml {
namespace {

class Compact final : public PlainOperator {
 public:
  explicit Compact(const OperatorContext& context) : PlainOperator(context), count_(context.input(0).dims.elements()) {}

 private:
  void run_item(const PlainCall& call) const noexcept override {
    auto* const y = reinterpret_cast<std::int64_t*>(call.y);
    std::int64_t found = 0;
    for (std::int64_t i = 0; i < count_; ++i) {
      if (call.x[0][i] != std::byte{0}) y[found++] = i;
    }
    std::fill(y + found, y + count_, std::int64_t{-1});
  }

  std::int64_t count_;
};

}  // namespace

OperatorResult make_compact(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(0), DType::boolean));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.output(), DType::s64));
  EDGEML_RETURN_IF_ERROR(check_elements(context, context.output(), context.input(0).dims.elements()));
  return std::make_unique<Compact>(context);
}

}  // namespace edgeml
