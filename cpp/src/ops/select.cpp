// SPDX-License-Identifier: Apache-2.0
// select: of two tensors the one that a truth value names, with broadcasting.
#include <cstring>

#include "ops/broadcast.h"
#include "ops/plain_operator.h"

namespace edgeml {
namespace {

template <class T>
void select_row(const std::byte* condition, const std::byte* a, const std::byte* b, std::byte* y, std::int64_t n,
                const std::array<std::int64_t, 3>& step) {
  for (std::int64_t i = 0; i < n; ++i) {
    const std::byte* const from = condition[i * step[0]] != std::byte{0} ? a + i * step[1] * std::int64_t{sizeof(T)}
                                                                         : b + i * step[2] * std::int64_t{sizeof(T)};
    std::memcpy(y + i * std::int64_t{sizeof(T)}, from, sizeof(T));
  }
}

class Select final : public PlainOperator {
 public:
  explicit Select(const OperatorContext& context)
      : PlainOperator(context),
        bytes_(dtype_bytes(context.output().dtype)),
        rows_(item_dims(context.output()), broadcast_steps<3>(context)) {
    row_ = bytes_ == 1   ? select_row<std::uint8_t>
           : bytes_ == 2 ? select_row<std::uint16_t>
           : bytes_ == 4 ? select_row<std::uint32_t>
                         : select_row<std::uint64_t>;
  }

 private:
  void run_item(const PlainCall& call) const noexcept override {
    std::byte* y = call.y;
    rows_.for_rows(0, rows_.rows(), [&](const auto& offset) {
      row_(call.x[0] + offset[0], call.x[1] + offset[1] * bytes_, call.x[2] + offset[2] * bytes_, y, rows_.length(),
           {rows_.step(0), rows_.step(1), rows_.step(2)});
      y += rows_.length() * bytes_;
    });
  }

  std::int64_t bytes_;
  StridedRows<3> rows_;
  void (*row_)(const std::byte*, const std::byte*, const std::byte*, std::byte*, std::int64_t,
               const std::array<std::int64_t, 3>&);
};

}  // namespace

OperatorResult make_select(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(0), DType::boolean));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(1), context.output().dtype));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(2), context.output().dtype));
  EDGEML_RETURN_IF_ERROR(check_broadcast(context));
  return std::make_unique<Select>(context);
}

}  // namespace edgeml
