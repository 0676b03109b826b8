// SPDX-License-Identifier: Apache-2.0
// How conv2d runs with block-sparse weights.
#pragma once

#include "model/block_sparse.h"
#include "ops/layer_cost.h"
#include "ops/operator.h"
#include "ops/window.h"

namespace edgeml {

// The copy of a convolution's input in which every tap of every pixel stands at one distance from the tap of pixel 0:
// padding made explicit, and for strides above 1 the columns and rows of each phase apart. Phase (py, px) holds the
// padded input's words (stride_h*i + py, stride_w*j + px).
struct PhasePlanes {
  std::int32_t phases_h, phases_w;  // that a tap reads
  std::int32_t height, width;       // of one phase, words; width is the pitch of output rows
  bool copies;                      // false: the input itself is that already

  explicit PhasePlanes(const Window& window);
  std::int64_t words() const { return std::int64_t{phases_h} * phases_w * height * width; }  // of 4 channels
};

// Shared workspace of a convolution whose weights are stored block-sparse, whether it runs sparse or dense: what the
// plan sees is the same on every machine. groups: planes of the input.
std::int64_t sparse_conv2d_workspace_bytes(const Window& window, std::int64_t groups);

LayerShape sparse_conv2d_shape(const Window& window, std::int64_t channels, std::int64_t in_channels);

// After the checks of conv2d; the input has more than one pixel.
OperatorResult make_sparse_conv2d(const OperatorContext& context, const Window& window, const BlockSparse& weights,
                                  std::int64_t macs);

}  // namespace edgeml
