// SPDX-License-Identifier: Apache-2.0
// Making and passing on errors inside the core.
#pragma once

#include <concepts>
#include <string>
#include <string_view>
#include <utility>

#include "edgeml/error.h"

namespace edgeml {

inline void append_text(std::string& out, std::string_view part) { out += part; }
template <std::integral T>
void append_text(std::string& out, T part) {
  out += std::to_string(part);
}

// One string of text and integers.
template <class... Parts>
std::string text(const Parts&... parts) {
  std::string out;
  (append_text(out, parts), ...);
  return out;
}

template <class... Parts>
Error fail(ErrorCode code, const Parts&... parts) {
  return {code, text(error_name(code), ": ", parts...)};
}

}  // namespace edgeml

#define EDGEML_RETURN_IF_ERROR(expression)                                  \
  do {                                                                      \
    if (auto status_ = (expression); !status_.ok()) return status_.error(); \
  } while (false)
