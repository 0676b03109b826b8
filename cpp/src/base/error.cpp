// SPDX-License-Identifier: Apache-2.0
// Names of the rows of error_codes.def.
#include "edgeml/error.h"

namespace edgeml {

std::string_view error_name(ErrorCode code) noexcept {
  switch (code) {
#define EDGEML_ERROR(number, name, raised_as, golden) \
  case ErrorCode::name:                               \
    return #name;
#include "edgeml/error_codes.def"
#undef EDGEML_ERROR
  }
  return "unknown";
}

std::string_view error_exception(ErrorCode code) noexcept {
  switch (code) {
#define EDGEML_ERROR(number, name, raised_as, golden) \
  case ErrorCode::name:                               \
    return #raised_as;
#include "edgeml/error_codes.def"
#undef EDGEML_ERROR
  }
  return "EdgemlError";
}

}  // namespace edgeml
