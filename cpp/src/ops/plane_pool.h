// SPDX-License-Identifier: Apache-2.0
// What the pools have in common: one kernel call for each plane of 4 channels, planes shared out over the threads.
#pragma once

#include "ops/operator.h"
#include "ops/plane_pairs.h"
#include "ops/window.h"

namespace edgeml {

// Args is the kernel's argument struct; it names the window as QS8AvgpoolArgs and X8MaxpoolArgs do.
template <class Fn, class Args>
class PlanePool : public Operator {
 public:
  std::int64_t work_per_sample() const override {
    return y_.layout.channels * y_.layout.pixels * args_.kernel_h * args_.kernel_w;
  }
  const char* kernel() const override { return row_.name; }

  void run(const Run& run) const noexcept override {
    for_plane_pairs(run, x_, y_, [&](std::int64_t, std::int64_t, const kernels::act_t* in, kernels::act_t* out) {
      Args args = args_;
      args.in = in;
      args.out = out;
      row_.fn(args);
    });
  }

 protected:
  PlanePool(const OperatorContext& context, const kernels::KernelRow<Fn>& row, const Window& window)
      : x_{context.node.inputs[0], Layout(context.input(0).dims)},
        y_{context.node.outputs[0], Layout(context.output().dims)},
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
  PlaneTensor x_, y_;
  kernels::KernelRow<Fn> row_;
};

}  // namespace edgeml
