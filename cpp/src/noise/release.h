// SPDX-License-Identifier: Apache-2.0
// The one way from raw to released counts.
#pragma once

#include <optional>

#include "base/counts.h"
#include "noise/byte_source.h"

namespace edgeml {

enum class ReleaseStatus {
  done,
  bad_scale,   // numerator or denominator outside 1..kNoiseScaleMax
  no_entropy,  // the operating system gave no random bytes
  overflow,    // a count with its noise does not fit into 64 bits
};

// How the noise is drawn: exactly, or in constant time and within variation_bound() (table_sampler.h) of exactly.
enum class Sampler { exact, constant_time };

// Adds independent discrete Laplace noise to every count. `released` is set if and only if the status is `done`.
ReleaseStatus release(const RawCounts& raw, NoiseScale scale, Sampler sampler, ByteSource& source,
                      std::optional<ReleasedCounts>& released);

}  // namespace edgeml
