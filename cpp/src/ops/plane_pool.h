// SPDX-License-Identifier: Apache-2.0
// What the pools have in common: one kernel call for each plane of 4 channels, planes shared out over the threads.
#pragma once

#include "ops/layout.h"
#include "ops/operator.h"
#include "ops/window.h"

namespace edgeml {

// Args is the kernel's argument struct; it names the window as QS8AvgpoolArgs and X8MaxpoolArgs do.
template <class Fn, class Args>
class PlanePool : public Operator {
 public:
  std::int64_t work_per_sample() const override {
    return out_.channels * out_.pixels * args_.kernel_h * args_.kernel_w;
  }
  const char* kernel() const override { return row_.name; }

  void run(const Run& run) const noexcept override {
    using kernels::act_t;
    const std::int64_t planes = run.batch * in_.groups;
    for_ranges(run.parallel, planes, tile_count(run.parallel, planes, run.batch * in_.sample_step, kTileBytesMin),
               [&](std::int64_t begin, std::int64_t end, std::int32_t) {
                 Args args = args_;
                 for (std::int64_t plane = begin; plane < end; ++plane) {
                   const std::int64_t n = plane / in_.groups;
                   const std::int64_t g = plane % in_.groups;
                   args.in = run.tensor<act_t>(x_) + n * in_.sample_step + g * in_.plane_step;
                   args.out = run.tensor<act_t>(y_) + n * out_.sample_step + g * out_.plane_step;
                   row_.fn(args);
                 }
               });
  }

 protected:
  PlanePool(const OperatorContext& context, const kernels::KernelRow<Fn>& row, const Window& window)
      : x_(context.node.inputs[0]),
        y_(context.node.outputs[0]),
        in_(context.input(0).dims),
        out_(context.output().dims),
        row_(row) {
    args_.in_h = window.in_h;
    args_.in_w = window.in_w;
    args_.kernel_h = window.kernel_h;
    args_.kernel_w = window.kernel_w;
    args_.stride_h = window.stride_h;
    args_.stride_w = window.stride_w;
    args_.pad_top = window.pad_top;
    args_.pad_left = window.pad_left;
    args_.out_h = window.out_h;
    args_.out_w = window.out_w;
  }

  Args args_{};  // but in and out, which each plane has its own of; a pool adds what only its kernel asks for

 private:
  std::uint32_t x_, y_;
  Layout in_, out_;
  kernels::KernelRow<Fn> row_;
};

}  // namespace edgeml
