// SPDX-License-Identifier: Apache-2.0
// What the bind_<concept>.cpp files share: their entry points, and raising an exception of edgeml.errors.
#pragma once

#include <pybind11/pybind11.h>

#include <string>

#include "edgeml/error.h"

namespace edgeml {

void bind_noise(pybind11::module_& module);
void bind_observe(pybind11::module_& module);
void bind_cpu(pybind11::module_& module);
void bind_session(pybind11::module_& module);
void bind_wire(pybind11::module_& module);

// Raises edgeml.errors.<exception>.
[[noreturn]] inline void raise(const char* exception, const std::string& sentence) {
  const pybind11::object type = pybind11::module_::import("edgeml.errors").attr(exception);
  PyErr_SetString(type.ptr(), sentence.c_str());
  throw pybind11::error_already_set();
}

[[noreturn]] inline void raise(const Error& error) {
  raise(std::string(error_exception(error.code)).c_str(), error.message);
}

}  // namespace edgeml
