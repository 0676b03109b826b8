// SPDX-License-Identifier: Apache-2.0
// A box of elements from one C4P activation to another: what concat, pad, slice and transpose do. Where channels keep
// their places in their words, whole words and rows of them move at once; else bytes.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kernels/activation.h"
#include "ops/layout.h"

namespace edgeml {

class BoxCopy {
 public:
  // Element i of an axis of the box stands at in_begin + i*in_step on axis in_axis of the input, and at out_begin + i
  // on an axis of the output.
  struct Axis {
    std::int64_t count;
    std::int32_t in_axis;
    std::int64_t in_begin, in_step;
    std::int64_t out_begin;
  };

  // axes: those of the output from axis 1 on, in order; each axis of the input but the batch stands in one of them.
  BoxCopy(const Dims& in, const Dims& out, std::span<const Axis> axes);

  // One sample. Where the box ends with the last channel of the output, the bytes of absent channels may be written.
  void run(const kernels::act_t* x, kernels::act_t* y) const noexcept;

 private:
  // Where the elements of an axis stand in one of the activations. Channels 4g..4g+3 are bytes of the words of plane g;
  // everything else has an even step.
  struct Steps {
    bool is_channel;
    std::int64_t begin, step;  // channels if is_channel, else bytes
    std::int64_t plane_step;   // bytes

    std::int64_t offset(std::int64_t i) const {
      const std::int64_t at = begin + i * step;
      return is_channel ? at / 4 * plane_step + at % 4 : at;
    }
  };
  struct Loop {
    std::int64_t count;
    Steps in, out;
  };

  void join_loops();
  template <class Move>
  void for_rows(const kernels::act_t* x, kernels::act_t* y, const Move& move) const noexcept;

  bool words_;               // what moves is words, else bytes
  std::vector<Loop> loops_;  // outermost first, at least one
};

}  // namespace edgeml
