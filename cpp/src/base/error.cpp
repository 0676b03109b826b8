// SPDX-License-Identifier: Apache-2.0
// error_codes.def as values.
#include "edgeml/error.h"

namespace edgeml {
namespace {

struct ErrorRow {
  ErrorCode code;
  std::string_view name, exception;
};

constexpr ErrorRow kErrorRows[] = {
#define EDGEML_ERROR(number, name, raised_as, golden) {ErrorCode::name, #name, #raised_as},
#include "edgeml/error_codes.def"
#undef EDGEML_ERROR
};

const ErrorRow& row_of(ErrorCode code) noexcept {
  const ErrorRow* row = kErrorRows;
  while (row->code != code) ++row;  // every code has a row
  return *row;
}

}  // namespace

std::string_view error_name(ErrorCode code) noexcept { return row_of(code).name; }

std::string_view error_exception(ErrorCode code) noexcept { return row_of(code).exception; }

}  // namespace edgeml
