// SPDX-License-Identifier: Apache-2.0
#include "ops/sparse_conv2d.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "kernels/pad_plane.h"
#include "ops/checks.h"
#include "ops/layout.h"
#include "ops/spmm_node.h"

namespace edgeml {
namespace {

using kernels::act_t;

enum Attribute : int { kActMin = 9 };

// Kernels read up to the last pixel of a strip.
constexpr std::int64_t kReadPastEnd = 4 * kernels::kSpmmStripPixels;

std::vector<kernels::QS8SpmmStrip> strips_of(const Window& window, std::int32_t pitch) {
  const std::int64_t swept = std::int64_t{window.out_h - 1} * pitch + window.out_w;
  std::vector<kernels::QS8SpmmStrip> strips;
  std::int32_t out = 0;
  for (std::int64_t first = 0; first < swept; first += kernels::kSpmmStripPixels) {
    kernels::QS8SpmmStrip strip{0, out};
    for (std::int32_t i = 0; i < kernels::kSpmmStripPixels && first + i < swept; ++i) {
      if ((first + i) % pitch < window.out_w) strip.outputs |= 1U << i;
    }
    out += __builtin_popcount(strip.outputs);
    strips.push_back(strip);
  }
  return strips;
}

// One row of one phase: words stride apart, with zero points where the input has none.
void copy_row(const act_t* row, const Window& w, std::int32_t phase, std::int32_t width, std::int32_t zero_point,
              act_t* to) {
  const std::int32_t shift = w.pad_left - phase;  // word j is input column j*stride - shift
  const auto begin =
      static_cast<std::int32_t>(std::clamp<std::int64_t>(shift <= 0 ? 0 : ceil_div(shift, w.stride_w), 0, width));
  const std::int64_t last = std::int64_t{w.in_w} - 1 + shift;
  const auto end =
      static_cast<std::int32_t>(std::clamp<std::int64_t>(last < 0 ? 0 : last / w.stride_w + 1, begin, width));
  kernels::fill_words(to, begin, zero_point);
  const act_t* from = row + (std::int64_t{begin} * w.stride_w - shift) * 4;
  if (w.stride_w == 1) {
    kernels::copy_words(from, end - begin, to + std::int64_t{begin} * 4);
  } else {
    for (std::int32_t j = begin; j < end; ++j, from += std::int64_t{w.stride_w} * 4) {
      std::memcpy(to + std::int64_t{j} * 4, from, 4);
    }
  }
  kernels::fill_words(to + std::int64_t{end} * 4, width - end, zero_point);
}

class SparseConv2d final : public Operator {
 public:
  SparseConv2d(const OperatorContext& context, const Window& window, const PhasePlanes& planes, SpmmNode spmm,
               std::int64_t macs)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_(context.input(0).dims),
        out_(context.output().dims),
        window_(window),
        planes_(planes),
        plane_step_(planes.copies ? plane_step_of(planes.words()) : in_.plane_step),
        spmm_(std::move(spmm)),
        macs_(macs),
        stored_zero_point_(context.input(0).zero_point + kernels::kActOffset),
        range_(output_range(context.output(), context.attribute(kActMin), context.attribute(kActMin + 1))) {
    if (planes.width != window.out_w) strips_ = strips_of(window, planes.width);
  }

  Workspace workspace() const override {
    return {.shared = sparse_conv2d_workspace_bytes(window_, in_.groups), .per_thread = 0};
  }
  const char* kernel() const override { return spmm_.kernel(); }
  std::int64_t macs_per_sample() const override { return macs_; }
  std::int64_t packed_weight_bytes() const override { return spmm_.packed_bytes(); }

  void run(const Run& run) const noexcept override {
    for (std::int64_t n = 0; n < run.batch; ++n) {
      const act_t* x = run.tensor<act_t>(x_) + n * in_.sample_step;
      kernels::QS8SpmmArgs args{};
      args.in = planes_.copies ? copy_phases(run, x) : x;
      args.out = run.tensor<act_t>(y_) + n * out_.sample_step;
      args.out_plane_step = out_.plane_step;
      args.range = range_;
      args.strips = strips_.empty() ? nullptr : strips_.data();
      spmm_.run(run, args, std::int64_t{window_.out_h - 1} * planes_.width + window_.out_w);
    }
  }

 private:
  const act_t* copy_phases(const Run& run, const act_t* x) const noexcept {
    auto* const copy = reinterpret_cast<act_t*>(run.workspace);
    for_ranges(run.parallel, in_.groups, tile_count(run.parallel, in_.groups, in_.groups * plane_step_, kTileBytesMin),
               [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                 for (std::int64_t g = begin; g < end; ++g) {
                   copy_plane(x + g * in_.plane_step, copy + g * plane_step_);
                 }
               });
    return copy;
  }

  void copy_plane(const act_t* in, act_t* to) const noexcept {
    const std::int64_t row_bytes = std::int64_t{planes_.width} * 4;
    for (std::int32_t py = 0; py < planes_.phases_h; ++py) {
      for (std::int32_t px = 0; px < planes_.phases_w; ++px) {
        for (std::int32_t i = 0; i < planes_.height; ++i, to += row_bytes) {
          const std::int64_t y = std::int64_t{i} * window_.stride_h + py - window_.pad_top;
          if (y < 0 || y >= window_.in_h) {
            kernels::fill_words(to, planes_.width, stored_zero_point_);
          } else {
            copy_row(in + y * window_.in_w * 4, window_, px, planes_.width, stored_zero_point_, to);
          }
        }
      }
    }
  }

  std::uint32_t x_, y_;
  Layout in_, out_;
  Window window_;
  PhasePlanes planes_;
  std::int64_t plane_step_;
  SpmmNode spmm_;
  std::int64_t macs_;
  std::int32_t stored_zero_point_;
  kernels::OutputRange range_;
  std::vector<kernels::QS8SpmmStrip> strips_;  // empty: every pixel is an output
};

}  // namespace

PhasePlanes::PhasePlanes(const Window& w)
    : phases_h(std::min(w.stride_h, (w.kernel_h - 1) * w.dilation_h + 1)),
      phases_w(std::min(w.stride_w, (w.kernel_w - 1) * w.dilation_w + 1)),
      height(w.out_h + (w.kernel_h - 1) * w.dilation_h / w.stride_h),
      width(w.out_w + (w.kernel_w - 1) * w.dilation_w / w.stride_w),
      copies(w.padded() || w.kernel_h > 1 || w.kernel_w > 1 || w.stride_h > 1 || w.stride_w > 1 || w.out_w < w.in_w) {}

std::int64_t sparse_conv2d_workspace_bytes(const Window& window, std::int64_t groups) {
  const PhasePlanes planes(window);
  const std::int64_t sparse = planes.copies ? groups * plane_step_of(planes.words()) + kReadPastEnd : 0;
  const std::int64_t reach = std::int64_t{window.reach_h()} * window.reach_w();
  return round_up(std::max(sparse, window.padded() ? groups * plane_step_of(reach) : 0), 64);
}

LayerShape sparse_conv2d_shape(const Window& window, std::int64_t channels, std::int64_t in_channels) {
  return {.channels = channels,
          .depth_words = std::int64_t{window.kernel_h} * window.kernel_w * ceil_div(in_channels, 4),
          .pixels = std::int64_t{window.out_h} * window.out_w,
          .swept_pixels = std::int64_t{window.out_h - 1} * PhasePlanes(window).width + window.out_w};
}

OperatorResult make_sparse_conv2d(const OperatorContext& context, const Window& window, const BlockSparse& weights,
                                  std::int64_t macs) {
  const PhasePlanes planes(window);
  const Layout in(context.input(0).dims);
  const std::int64_t plane_step = planes.copies ? plane_step_of(planes.words()) : in.plane_step;
  if (in.groups * plane_step > INT32_MAX - kReadPastEnd) {
    return fail(ErrorCode::arena_too_large, where(context), ": one padded input needs 2^31 bytes or more");
  }
  std::vector<std::int32_t> group_offset;
  const auto place = [](std::int32_t tap, std::int32_t dilation, std::int32_t stride) {
    return std::pair(tap * dilation % stride, tap * dilation / stride);  // phase, and how far in it
  };
  for (std::int32_t ky = 0; ky < window.kernel_h; ++ky) {
    const auto [phase_y, y] = place(ky, window.dilation_h, window.stride_h);
    for (std::int32_t kx = 0; kx < window.kernel_w; ++kx) {
      const auto [phase_x, x] = place(kx, window.dilation_w, window.stride_w);
      const std::int64_t phase = std::int64_t{phase_y} * planes.phases_w + phase_x;
      const std::int64_t word = (phase * planes.height + y) * planes.width + x;
      for (std::int64_t g = 0; g < in.groups; ++g) {
        group_offset.push_back(static_cast<std::int32_t>(g * plane_step + word * 4));
      }
    }
  }
  Result<SpmmNode> spmm = SpmmNode::pack(context.kernels.qs8_spmm, {.weights = weights,
                                                                    .bias = context.input(2).values<std::int32_t>(),
                                                                    .multiplier = context.input(3).values<float>(),
                                                                    .zero_point_in = context.input(0).zero_point,
                                                                    .group_offset = group_offset});
  if (!spmm.ok()) return spmm.error();
  return std::make_unique<SparseConv2d>(context, window, planes, std::move(spmm).value(), macs);
}

}  // namespace edgeml
