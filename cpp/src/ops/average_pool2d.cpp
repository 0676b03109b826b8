// SPDX-License-Identifier: Apache-2.0
// average_pool2d: a qs8_avgpool per plane of 4 channels.
#include <vector>

#include "ops/checks.h"
#include "ops/operator.h"
#include "ops/plane_pool.h"
#include "ops/window.h"

namespace edgeml {
namespace {

enum Attribute : int { kKernel = 0, kStride = 2, kPads = 4, kActMin = 8 };

class AveragePool2d final : public PlanePool<kernels::QS8AvgpoolFn, kernels::QS8AvgpoolArgs> {
 public:
  AveragePool2d(const OperatorContext& context, const Window& window)
      : PlanePool(context, context.kernels.qs8_avgpool, window) {
    const auto values = context.input(1).values<float>();
    multiplier_.assign(values.begin(), values.end());
    args_.zero_point = context.input(0).zero_point + kernels::kActOffset;
    args_.multiplier = multiplier_.data();
    args_.range = output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1));
  }

 private:
  std::vector<float> multiplier_;
};

}  // namespace

OperatorResult make_average_pool2d(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(0), DType::s8, 4));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), DType::s8, 4));
  EDGEML_RETURN_IF_ERROR(check_act_range(context, kActMin));
  const Result<Window> window = read_window(context, {kKernel, kStride, -1, kPads}, 0, 0);
  if (!window.ok()) return window.error();
  const Window& w = window.value();
  EDGEML_RETURN_IF_ERROR(check_dims(context, context.output(), {context.input(0).dims[1], w.out_h, w.out_w}));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 1, DType::f32, {std::int64_t{w.kernel_h} * w.kernel_w}));
  EDGEML_RETURN_IF_ERROR(check_multipliers(context, 1));
  // The sum of a window must stay inside int32: 255 * taps < 2^31 with 4096 * 4096 taps would not.
  if (std::int64_t{255} * w.kernel_h * w.kernel_w > INT32_MAX) {
    return fail(ErrorCode::accumulator_overflow, where(context), ": the sum of a window of ", w.kernel_h, " x ",
                w.kernel_w, " can leave int32");
  }
  return std::make_unique<AveragePool2d>(context, w);
}

}  // namespace edgeml
