// SPDX-License-Identifier: Apache-2.0
// Whether bytes are UTF-8, and whether they are JSON as the artifact holds it.
#pragma once

#include <string_view>

namespace edgeml {

// Well-formed UTF-8: shortest forms, no surrogates, at most U+10FFFF.
bool is_utf8(std::string_view text) noexcept;

// One JSON object (RFC 8259) in UTF-8 without white space between tokens, keys of every object in ascending byte order
// and distinct, at most 32 levels deep. Key order is that of the written form, escapes included.
bool is_canonical_json_object(std::string_view text) noexcept;

}  // namespace edgeml
