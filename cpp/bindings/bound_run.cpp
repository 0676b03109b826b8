// SPDX-License-Identifier: Apache-2.0
#include "bound_run.h"

#include <utility>

#include "bindings.h"

namespace edgeml {
namespace {

namespace py = pybind11;

// Copies the list; every array is what its port takes, so that its address may be asked for.
std::vector<py::object> arrays_of(const std::vector<ArrayPort>& ports, const py::list& list) {
  if (list.size() != ports.size()) raise("InputError", "a bound run needs one array for each input and output");
  std::vector<py::object> arrays;
  for (const ArrayPort& port : ports) {
    const py::object array = list[arrays.size()];
    if (!port.takes(array.ptr())) raise("InputError", "the arrays are not those that the model takes");
    arrays.push_back(array);
  }
  return arrays;
}

}  // namespace

BoundRun::BoundRun(py::object session, const py::list& inputs, const py::list& outputs)
    : owner_(std::move(session)),
      session_(owner_.cast<Session&>()),
      in_arrays_(arrays_of(session_.input_ports(), inputs)),
      out_arrays_(arrays_of(session_.output_ports(), outputs)),
      batch_(in_arrays_.empty() ? session_.get().declared_batch()
                                : session_.input_ports().front().batch_of(in_arrays_.front().ptr())) {
  for (const py::object& array : in_arrays_) in_.push_back(ArrayPort::data_of(array.ptr()));
  for (const py::object& array : out_arrays_) out_.push_back(ArrayPort::data_of(array.ptr()));
  if (!is_intact()) raise("InputError", "the arrays of a bound run must be of one batch, those of outputs writable");
  session_.bind(batch_);
}

py::dict BoundRun::by_name(const std::vector<ArrayPort>& ports, const std::vector<py::object>& arrays) {
  py::dict dict;
  for (std::size_t i = 0; i < ports.size(); ++i) dict[py::handle(ports[i].name())] = arrays[i];
  return dict;
}

// NumPy lets everybody move, retype or protect an array in place; what an owner does to its buffer is caught here, some
// 10 ns an array, before it can become a wild write.
bool BoundRun::is_intact() const noexcept {
  const auto is_same = [this](const ArrayPort& port, PyObject* array, const void* data) {
    return port.takes(array) && ArrayPort::data_of(array) == data && port.batch_of(array) == batch_;
  };
  for (std::size_t i = 0; i < in_.size(); ++i) {
    if (!is_same(session_.input_ports()[i], in_arrays_[i].ptr(), in_[i])) return false;
  }
  for (std::size_t i = 0; i < out_.size(); ++i) {
    PyObject* const array = out_arrays_[i].ptr();
    if (!is_same(session_.output_ports()[i], array, out_[i]) || !ArrayPort::is_writable(array)) return false;
  }
  return true;
}

void BoundRun::operator()() {
  if (!is_intact()) {
    raise("InputError", "an array of this bound run was resized, retyped or made read-only since; bind() again");
  }
  session_.execute(batch_, in_, out_);
}

}  // namespace edgeml
