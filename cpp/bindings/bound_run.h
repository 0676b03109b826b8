// SPDX-License-Identifier: Apache-2.0
// A session with the arrays of its next runs: what they are is checked once, a call allocates nothing.
#pragma once

#include <pybind11/pybind11.h>

#include <cstdint>
#include <vector>

#include "session.h"

namespace edgeml {

class BoundRun {
 public:
  // Arrays in the order of the ports, all of one batch, checked by session.py. Keeps the session and all arrays alive.
  BoundRun(pybind11::object session, const pybind11::list& inputs, const pybind11::list& outputs);

  void operator()();

  // New dicts of the arrays, by name.
  pybind11::dict inputs() const { return by_name(session_.input_ports(), in_arrays_); }
  pybind11::dict outputs() const { return by_name(session_.output_ports(), out_arrays_); }

 private:
  static pybind11::dict by_name(const std::vector<ArrayPort>& ports, const std::vector<pybind11::object>& arrays);
  bool is_intact() const noexcept;

  pybind11::object owner_;
  Session& session_;
  std::vector<pybind11::object> in_arrays_, out_arrays_;
  std::vector<const void*> in_;
  std::vector<void*> out_;
  std::int64_t batch_ = 0;
};

}  // namespace edgeml
