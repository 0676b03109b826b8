// SPDX-License-Identifier: Apache-2.0
// depthwise_conv2d: a qs8_dwconv per plane of 4 channels, each over a padded copy in the thread's own scratch.
#include <utility>

#include "base/aligned_buffer.h"
#include "kernels/qs8_dwconv/qs8_dwconv_pack.h"
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"
#include "ops/padded_plane.h"
#include "ops/window.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kStride = 0, kDilation = 2, kPads = 4, kActMin = 8 };

class DepthwiseConv2d final : public Operator {
 public:
  DepthwiseConv2d(const OperatorContext& context, const Window& window, AlignedBuffer packed, std::int64_t weight_step)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_(context.input(0).dims),
        out_(context.output().dims),
        window_(window),
        row_(context.kernels.qs8_dwconv),
        packed_(std::move(packed)),
        weight_step_(weight_step),
        stored_zero_point_(context.input(0).zero_point + kernels::kActOffset),
        range_(output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1))) {}

  Workspace workspace() const override {
    const std::int64_t bytes = std::int64_t{window_.reach_h()} * window_.reach_w() * 4 + kernels::kDwconvReadSlack;
    return {.shared = 0, .per_thread = round_up(bytes, 64)};
  }
  const char* kernel() const override { return row_.name; }
  std::int64_t macs_per_sample() const override {
    return out_.channels * out_.pixels * window_.kernel_h * window_.kernel_w;
  }
  std::int64_t packed_weight_bytes() const override { return packed_.size(); }

  void run(const Run& run) const noexcept override {
    const std::int64_t planes = run.batch * in_.groups;
    // A multiply-accumulate of a depthwise layer costs about four times one of a matrix product.
    const std::int64_t work = 4 * run.batch * macs_per_sample();
    for_ranges(run.parallel, planes, tile_count(run.parallel, planes, work, kTileMacsMin),
               [&](std::int64_t begin, std::int64_t end, std::int32_t thread) {
                 auto* const scratch = reinterpret_cast<act_t*>(run.scratch_of(thread));
                 fill_padding(window_, stored_zero_point_, scratch);
                 for (std::int64_t plane = begin; plane < end; ++plane) {
                   run_plane(run, plane / in_.groups, plane % in_.groups, scratch);
                 }
               });
  }

 private:
  void run_plane(const Run& run, std::int64_t n, std::int64_t group, act_t* scratch) const noexcept {
    const act_t* const x = run.tensor<act_t>(x_) + n * in_.sample_step + group * in_.plane_step;
    copy_inside(x, window_, scratch);
    const auto* const weights = packed_.as<std::int8_t>() + group * weight_step_;
    const auto* const bias = reinterpret_cast<const std::int32_t*>(weights + weight_step_ - 32);
    row_.fn({
        .in = scratch,
        .in_row_step = window_.reach_w() * 4,
        .out_h = window_.out_h,
        .out_w = window_.out_w,
        .kernel_h = window_.kernel_h,
        .kernel_w = window_.kernel_w,
        .stride_h = window_.stride_h,
        .stride_w = window_.stride_w,
        .dilation_h = window_.dilation_h,
        .dilation_w = window_.dilation_w,
        .weights = weights,
        .bias = bias,
        .multiplier = reinterpret_cast<const float*>(bias + 4),
        .out = run.tensor<act_t>(y_) + n * out_.sample_step + group * out_.plane_step,
        .range = range_,
    });
  }

  std::uint32_t x_, y_;
  Layout in_, out_;
  Window window_;
  kernels::KernelRow<kernels::QS8DwconvFn> row_;
  AlignedBuffer packed_;      // per plane: weights, then bias [4], then multipliers [4] in the last 32 bytes
  std::int64_t weight_step_;  // bytes from plane to plane
  std::int32_t stored_zero_point_;
  kernels::OutputRange range_;
};

// weights [kernel_h * kernel_w][channels] -> per plane what qs8_dwconv.h asks for.
void pack_plane(const OperatorContext& context, std::int64_t group, std::int32_t kernel_h, std::int32_t kernel_w,
                std::int8_t* packed, std::int64_t weight_step) {
  const auto weights = context.input(1).values<std::int8_t>();
  const std::int64_t channels = context.output().dims[1];
  const std::int64_t taps = std::int64_t{kernel_h} * kernel_w;
  const std::int32_t stored_zero_point = context.input(0).zero_point + kernels::kActOffset;
  std::vector<std::int8_t> plane(static_cast<std::size_t>(taps * 4));
  auto* const bias = reinterpret_cast<std::int32_t*>(packed + weight_step - 32);
  auto* const multiplier = reinterpret_cast<float*>(bias + 4);
  for (std::int64_t lane = 0; lane < 4 && group * 4 + lane < channels; ++lane) {
    const std::int64_t c = group * 4 + lane;
    std::int64_t sum = 0;
    for (std::int64_t t = 0; t < taps; ++t) {
      const std::int8_t w = weights[static_cast<std::size_t>(t * channels + c)];
      plane[static_cast<std::size_t>(t * 4 + lane)] = w;
      sum += w;
    }
    bias[lane] = static_cast<std::int32_t>(context.input(2).values<std::int32_t>()[static_cast<std::size_t>(c)] -
                                           stored_zero_point * sum);
    multiplier[lane] = context.input(3).values<float>()[static_cast<std::size_t>(c)];
  }
  kernels::qs8_dwconv_pack(plane.data(), kernel_h, kernel_w, context.kernels.qs8_dwconv.kr, packed);
}

}  // namespace

OperatorResult make_depthwise_conv2d(const OperatorContext& context) {
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.input(0), DType::s8, 4));
  EDGEML_RETURN_IF_ERROR(check_activation(context, context.output(), DType::s8, 4));
  EDGEML_RETURN_IF_ERROR(check_act_range(context, kActMin));
  const std::int64_t channels = context.input(0).dims[1];
  const Dims& w = context.input(1).dims;
  if (w.rank != 3) return fail(ErrorCode::shape_mismatch, where(context), ": the weights must have rank 3");
  if (context.output().dims[1] != channels) {
    return fail(ErrorCode::shape_mismatch, where(context), ": ", channels, " input and ", context.output().dims[1],
                " output channels, they must be equal");
  }
  EDGEML_RETURN_IF_ERROR(check_constant(context, 1, DType::s8, {w[0], w[1], channels}));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 2, DType::s32, {channels}));
  EDGEML_RETURN_IF_ERROR(check_constant(context, 3, DType::f32, {channels}));
  EDGEML_RETURN_IF_ERROR(check_multipliers(context, 3));
  EDGEML_RETURN_IF_ERROR(check_weights(context, channels, w[0] * w[1], 1, channels));
  const Result<Window> window = read_window(context, {-1, kStride, kDilation, kPads}, w[0], w[1]);
  if (!window.ok()) return window.error();
  // Kernels take several output columns at a time: sequences, of height n and width 1, had better lie.
  const Window win = window.value().upright() ? window.value().laid_down() : window.value();
  if (std::int64_t{win.reach_h()} * win.reach_w() > INT32_MAX / 8) {
    return fail(ErrorCode::arena_too_large, where(context), ": one padded plane needs 2^30 bytes or more");
  }
  const std::int64_t groups = ceil_div(channels, 4);
  const std::int64_t weight_step =
      round_up(kernels::qs8_dwconv_packed_bytes(win.kernel_h, win.kernel_w, context.kernels.qs8_dwconv.kr) + 32, 64);
  AlignedBuffer packed = AlignedBuffer::allocate(groups * weight_step);
  if (packed.empty())
    return fail(ErrorCode::out_of_memory, "no memory for ", groups * weight_step, " bytes of packed weights");
  for (std::int64_t group = 0; group < groups; ++group) {
    pack_plane(context, group, win.kernel_h, win.kernel_w, packed.as<std::int8_t>() + group * weight_step, weight_step);
  }
  return std::make_unique<DepthwiseConv2d>(context, win, std::move(packed), weight_step);
}

}  // namespace edgeml
