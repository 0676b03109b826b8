// SPDX-License-Identifier: Apache-2.0
// assemble: the output is filled with one value, then each further input is copied to a box of it: concat, pad,
// spreading elements apart.
#include "ops/box.h"
#include "ops/plain_operator.h"
#include "ops/strided_elements.h"
#include "ops/strided_rows.h"

namespace edgeml {
namespace {

class Assemble final : public PlainOperator {
 public:
  explicit Assemble(const OperatorContext& context)
      : PlainOperator(context), bytes_(dtype_bytes(context.output().dtype)), count_(context.output().dims.elements()) {
    for (std::size_t i = 1; i < context.node.inputs.size(); ++i) {
      const Box box(context, (i - 1) * kBoxAttributes);
      const Dims dims = item_dims(context.input(i));
      pieces_.push_back({box.offset, StridedRows<2>(dims, {dense_steps(dims), box.step})});
    }
  }

 private:
  struct Piece {
    std::int64_t offset;
    StridedRows<2> rows;
  };

  void run_item(const PlainCall& call) const noexcept override {
    copy_elements(bytes_, call.x[0], 0, call.y, 1, count_);
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      const Piece& piece = pieces_[i];
      piece.rows.for_rows(0, piece.rows.rows(), [&](const auto& offset) {
        copy_elements(bytes_, call.x[i + 1] + offset[0] * bytes_, piece.rows.step(0),
                      call.y + (piece.offset + offset[1]) * bytes_, piece.rows.step(1), piece.rows.length());
      });
    }
  }

  std::int64_t bytes_, count_;
  std::vector<Piece> pieces_;
};

}  // namespace

OperatorResult make_assemble(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_plain(context));
  const std::size_t pieces = context.node.inputs.size() - 1;
  if (context.node.attributes.size() != pieces * kBoxAttributes) {
    return fail(ErrorCode::bad_node, where(context), ": ", pieces, " pieces need ", pieces * kBoxAttributes,
                " attributes, there are ", context.node.attributes.size());
  }
  EDGEML_RETURN_IF_ERROR(check_elements(context, context.input(0), 1));
  EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(0), context.output().dtype));
  for (std::size_t i = 0; i < pieces; ++i) {
    EDGEML_RETURN_IF_ERROR(check_dtype(context, context.input(i + 1), context.output().dtype));
    EDGEML_RETURN_IF_ERROR(check_box(context, Box(context, i * kBoxAttributes), item_dims(context.input(i + 1)),
                                     context.output().dims.elements()));
  }
  return std::make_unique<Assemble>(context);
}

}  // namespace edgeml
