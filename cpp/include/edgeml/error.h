// SPDX-License-Identifier: Apache-2.0
// How the core reports failure: a pinned code and one sentence that says what, where and the way out. Nothing throws.
#pragma once

#include <concepts>
#include <cstdint>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>

namespace edgeml {

enum class ErrorCode : std::int32_t {
#define EDGEML_ERROR(number, name, raised_as, golden) name = number,
#include "edgeml/error_codes.def"
#undef EDGEML_ERROR
};

std::string_view error_name(ErrorCode code) noexcept;

// Name of the exception in edgeml.errors that the Python binding raises.
std::string_view error_exception(ErrorCode code) noexcept;

struct Error {
  ErrorCode code;
  std::string message;  // "<name of the code>: <sentence>"
};

// Either a value or an error. value() of a failure and error() of a success are undefined.
template <class T>
class [[nodiscard]] Result {
 public:
  template <std::convertible_to<T> U>
    requires(!std::same_as<std::remove_cvref_t<U>, Result> && !std::same_as<std::remove_cvref_t<U>, Error>)
  Result(U&& value) : state_(std::in_place_index<0>, std::forward<U>(value)) {}  // implicit: `return value;`
  Result(Error error) : state_(std::move(error)) {}                              // implicit: `return fail(...);`

  bool ok() const noexcept { return state_.index() == 0; }
  T& value() & noexcept { return *std::get_if<0>(&state_); }
  const T& value() const& noexcept { return *std::get_if<0>(&state_); }
  T&& value() && noexcept { return std::move(*std::get_if<0>(&state_)); }
  const Error& error() const noexcept { return *std::get_if<1>(&state_); }

 private:
  std::variant<T, Error> state_;
};

struct Done {};
using Status = Result<Done>;

}  // namespace edgeml
