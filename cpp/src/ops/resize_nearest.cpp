// SPDX-License-Identifier: Apache-2.0
// resize_nearest: each output pixel is one input pixel; the converter chose the rows and columns.
#include <cstring>
#include <vector>

#include "ops/checks.h"
#include "ops/index_table.h"
#include "ops/operator.h"
#include "ops/plane_pairs.h"

namespace edgeml {
namespace {

using kernels::act_t;

class ResizeNearest final : public Operator {
 public:
  explicit ResizeNearest(const OperatorContext& context)
      : x_{context.node.inputs[0], Layout(context.input(0).dims)},
        y_{context.node.outputs[0], Layout(context.output().dims)},
        in_w_(context.input(0).dims[3]) {
    const auto rows = context.input(1).values<std::int32_t>();
    const auto columns = context.input(2).values<std::int32_t>();
    rows_.assign(rows.begin(), rows.end());
    columns_.assign(columns.begin(), columns.end());
  }

  void run(const Run& run) const noexcept override {
    for_plane_pairs(run, x_, y_, [&](std::int64_t, std::int64_t, const act_t* x, act_t* y) { plane(x, y); });
  }

 private:
  void plane(const act_t* x, act_t* y) const noexcept {
    for (const std::int64_t row : rows_) {
      const act_t* const from = x + row * in_w_ * 4;
      for (const std::int64_t column : columns_) {
        std::memcpy(y, from + column * 4, 4);
        y += 4;
      }
    }
  }

  PlaneTensor x_, y_;
  std::int64_t in_w_;
  std::vector<std::int32_t> rows_, columns_;
};

}  // namespace

OperatorResult make_resize_nearest(const OperatorContext& context) {
  const Tensor& x = context.input(0);
  const Tensor& y = context.output();
  EDGEML_RETURN_IF_ERROR(check_activation(context, x, DType::s8, 4));
  EDGEML_RETURN_IF_ERROR(check_activation(context, y, DType::s8, 4));
  EDGEML_RETURN_IF_ERROR(check_same_quantization(context, x, y));
  EDGEML_RETURN_IF_ERROR(check_dims(context, y, {x.dims[1], y.dims[2], y.dims[3]}));
  EDGEML_RETURN_IF_ERROR(check_indices(context, 1, y.dims[2], x.dims[2]));
  EDGEML_RETURN_IF_ERROR(check_indices(context, 2, y.dims[3], x.dims[3]));
  return std::make_unique<ResizeNearest>(context);
}

}  // namespace edgeml
