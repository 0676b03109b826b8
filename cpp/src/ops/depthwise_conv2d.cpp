// SPDX-License-Identifier: Apache-2.0
// depthwise_conv2d: one qs8_dwconv over the planes of a sample, shared out over the threads.
#include <utility>

#include "base/aligned_buffer.h"
#include "kernels/qs8_dwconv/qs8_dwconv_pack.h"
#include "kernels/qs8_dwconv/qs8_dwconv_padded.h"
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/operator.h"
#include "ops/window.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kStride = 0, kDilation = 2, kPads = 4, kActMin = 8 };

// Planes in order: weights as the kernel wants them, bias [planes][4], multipliers [planes][4].
struct PackedPlanes {
  AlignedBuffer bytes;
  std::int64_t weight_step = 0;  // bytes from plane to plane
  std::int64_t bias_at = 0, multiplier_at = 0;

  std::int8_t* weights(std::int64_t plane) const { return bytes.as<std::int8_t>() + plane * weight_step; }
  std::int32_t* bias(std::int64_t plane) const {
    return reinterpret_cast<std::int32_t*>(bytes.as<std::int8_t>() + bias_at) + plane * 4;
  }
  float* multiplier(std::int64_t plane) const {
    return reinterpret_cast<float*>(bytes.as<std::int8_t>() + multiplier_at) + plane * 4;
  }
};

class DepthwiseConv2d final : public Operator {
 public:
  DepthwiseConv2d(const OperatorContext& context, const Window& window, PackedPlanes packed)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_(context.input(0).dims),
        out_(context.output().dims),
        window_(window),
        row_(context.kernels.qs8_dwconv),
        packed_(std::move(packed)),
        stored_zero_point_(context.input(0).zero_point + kernels::kActOffset),
        range_(output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1))) {}

  Workspace workspace() const override {
    return {.shared = 0,
            .per_thread = round_up(kernels::qs8_dwconv_scratch_bytes(window_.reach_h(), window_.reach_w()), 64)};
  }
  const char* kernel() const override { return row_.name; }
  std::int64_t macs_per_sample() const override {
    return out_.channels * out_.pixels * window_.kernel_h * window_.kernel_w;
  }
  std::int64_t packed_weight_bytes() const override { return packed_.bytes.size(); }

  void run(const Run& run) const noexcept override {
    // A multiply-accumulate of a depthwise layer costs about four times one of a matrix product.
    const std::int64_t work = 4 * macs_per_sample();
    for (std::int64_t n = 0; n < run.batch; ++n) {
      for_ranges(run.parallel, in_.groups, tile_count(run.parallel, in_.groups, work, kTileMacsMin),
                 [&](std::int64_t begin, std::int64_t end, std::int32_t thread) {
                   run_planes(run, n, begin, end, reinterpret_cast<act_t*>(run.scratch_of(thread)));
                 });
    }
  }

 private:
  void run_planes(const Run& run, std::int64_t n, std::int64_t begin, std::int64_t end, act_t* scratch) const noexcept {
    row_.fn({
        .planes = static_cast<std::int32_t>(end - begin),
        .in = run.tensor<act_t>(x_) + n * in_.sample_step + begin * in_.plane_step,
        .in_plane_step = in_.plane_step,
        .in_h = window_.in_h,
        .in_w = window_.in_w,
        .pad_top = window_.pad_top,
        .pad_left = window_.pad_left,
        .zero_point_in = stored_zero_point_,
        .out_h = window_.out_h,
        .out_w = window_.out_w,
        .kernel_h = window_.kernel_h,
        .kernel_w = window_.kernel_w,
        .stride_h = window_.stride_h,
        .stride_w = window_.stride_w,
        .dilation_h = window_.dilation_h,
        .dilation_w = window_.dilation_w,
        .weights = packed_.weights(begin),
        .bias = packed_.bias(begin),
        .multiplier = packed_.multiplier(begin),
        .out = run.tensor<act_t>(y_) + n * out_.sample_step + begin * out_.plane_step,
        .out_plane_step = out_.plane_step,
        .range = range_,
        .scratch = scratch,
    });
  }

  std::uint32_t x_, y_;
  Layout in_, out_;
  Window window_;
  kernels::KernelRow<kernels::QS8DwconvFn> row_;
  PackedPlanes packed_;
  std::int32_t stored_zero_point_;
  kernels::OutputRange range_;
};

// weights [kernel_h * kernel_w][channels] -> per plane what qs8_dwconv.h asks for.
void pack_plane(const OperatorContext& context, std::int64_t plane, const Window& window, const PackedPlanes& packed) {
  const auto weights = context.input(1).values<std::int8_t>();
  const std::int64_t channels = context.output().dims[1];
  const std::int64_t taps = std::int64_t{window.kernel_h} * window.kernel_w;
  const std::int32_t stored_zero_point = context.input(0).zero_point + kernels::kActOffset;
  std::vector<std::int8_t> canonical(static_cast<std::size_t>(taps * 4));
  for (std::int64_t lane = 0; lane < 4 && plane * 4 + lane < channels; ++lane) {
    const std::int64_t c = plane * 4 + lane;
    std::int64_t sum = 0;
    for (std::int64_t t = 0; t < taps; ++t) {
      const std::int8_t w = weights[static_cast<std::size_t>(t * channels + c)];
      canonical[static_cast<std::size_t>(t * 4 + lane)] = w;
      sum += w;
    }
    packed.bias(plane)[lane] = static_cast<std::int32_t>(
        context.input(2).values<std::int32_t>()[static_cast<std::size_t>(c)] - stored_zero_point * sum);
    packed.multiplier(plane)[lane] = context.input(3).values<float>()[static_cast<std::size_t>(c)];
  }
  kernels::qs8_dwconv_pack(canonical.data(), window.kernel_h, window.kernel_w, context.kernels.qs8_dwconv.kr,
                           packed.weights(plane));
}

Result<PackedPlanes> pack_planes(const OperatorContext& context, const Window& window) {
  const std::int64_t planes = ceil_div(context.output().dims[1], 4);
  PackedPlanes packed;
  packed.weight_step =
      kernels::qs8_dwconv_packed_bytes(window.kernel_h, window.kernel_w, context.kernels.qs8_dwconv.kr);
  packed.bias_at = round_up(planes * packed.weight_step, 64);
  packed.multiplier_at = packed.bias_at + planes * 16;
  const std::int64_t bytes = packed.multiplier_at + planes * 16;
  packed.bytes = AlignedBuffer::allocate(bytes);
  if (packed.bytes.empty()) return fail(ErrorCode::out_of_memory, "no memory for ", bytes, " bytes of packed weights");
  for (std::int64_t plane = 0; plane < planes; ++plane) pack_plane(context, plane, window, packed);
  return packed;
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
  Result<PackedPlanes> packed = pack_planes(context, win);
  if (!packed.ok()) return packed.error();
  return std::make_unique<DepthwiseConv2d>(context, win, std::move(packed).value());
}

}  // namespace edgeml
