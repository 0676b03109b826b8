// SPDX-License-Identifier: Apache-2.0
// How conv2d runs over an input of one channel (audio features, grey images).
#pragma once

#include "ops/operator.h"
#include "ops/window.h"

namespace edgeml {

// After the checks of conv2d. macs: of one sample.
OperatorResult make_one_channel_conv2d(const OperatorContext& context, const Window& window, std::int64_t macs);

}  // namespace edgeml
