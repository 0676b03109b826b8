// SPDX-License-Identifier: Apache-2.0
// view_copy: the output is a strided view of the input's elements, copied: reshape, transpose, slice, flip, expand,
// windows that overlap, the same bytes under another dtype.
#include "ops/box.h"
#include "ops/plain_operator.h"
#include "ops/strided_elements.h"
#include "ops/strided_rows.h"

namespace edgeml {
namespace {

class ViewCopy final : public PlainOperator {
 public:
  ViewCopy(const OperatorContext& context, const Box& box)
      : PlainOperator(context),
        bytes_(dtype_bytes(context.output().dtype)),
        offset_(box.offset),
        rows_(item_dims(context.output()), {box.step}),
        is_whole_(rows_.rows() == 1 && rows_.step(0) == 1 && box.offset == 0 &&
                  context.input(0).dims.elements() == rows_.length() &&
                  context.input(0).dtype == context.output().dtype) {}

  std::int32_t in_place_inputs() const override { return is_whole_ ? 1 : 0; }

 private:
  void run_item(const PlainCall& call) const noexcept override {
    if (call.x[0] == call.y) return;  // in place: the bytes stay
    const std::int64_t bytes = rows_.rows() * rows_.length() * bytes_;
    for_ranges(call.run.parallel, rows_.rows(), tile_count(call.run.parallel, rows_.rows(), bytes, kTileBytesMin),
               [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                 std::byte* y = call.y + begin * rows_.length() * bytes_;
                 rows_.for_rows(begin, end, [&](const auto& offset) {
                   copy_elements(bytes_, call.x[0] + (offset_ + offset[0]) * bytes_, rows_.step(0), y, 1,
                                 rows_.length());
                   y += rows_.length() * bytes_;
                 });
               });
  }

  std::int64_t bytes_, offset_;
  StridedRows<1> rows_;
  bool is_whole_;
};

}  // namespace

OperatorResult make_view_copy(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  if (dtype_bytes(context.input(0).dtype) != dtype_bytes(context.output().dtype))
    return fail(ErrorCode::bad_operand, where(context), ": input and output differ in the size of an element");
  const Box box(context, 0);
  EDGEML_RETURN_IF_ERROR(check_box(context, box, item_dims(context.output()), context.input(0).dims.elements()));
  return std::make_unique<ViewCopy>(context, box);
}

}  // namespace edgeml
