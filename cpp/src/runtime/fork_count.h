// SPDX-License-Identifier: Apache-2.0
// How to know in a forked child that it is one: threads and lock holders of the parent do not exist there.
#pragma once

#include <cstdint>

namespace edgeml {

// The forks between the first call in an ancestor of this process and now; equal values: still the same process.
std::uint32_t fork_count() noexcept;

}  // namespace edgeml
