// SPDX-License-Identifier: Apache-2.0
#include "array_port.h"

#include <array>
#include <string>

namespace edgeml {
namespace {

namespace py = pybind11;
using NumPy = py::detail::npy_api;

constexpr int kPlainFlags = NumPy::NPY_ARRAY_C_CONTIGUOUS_ | NumPy::NPY_ARRAY_ALIGNED_;

}  // namespace

ArrayPort::ArrayPort(const TensorInfo& info, std::int64_t declared_batch)
    : numpy_(NumPy::get()),
      dtype_(std::string(dtype_name(info.dtype))),
      dims_(info.dims),
      declared_batch_(declared_batch) {
  PyObject* name = PyUnicode_FromStringAndSize(info.name.data(), static_cast<Py_ssize_t>(info.name.size()));
  if (name == nullptr) throw py::error_already_set();
  PyUnicode_InternInPlace(&name);
  name_ = py::reinterpret_steal<py::object>(name);
}

bool ArrayPort::takes(PyObject* object) const noexcept {
  if (!numpy_.PyArray_Check_(object)) return false;
  const auto& array = *py::detail::array_proxy(object);
  // One descriptor stands for a dtype, as a rule; the second comparison is for arrays that brought their own.
  if (array.descr != dtype_.ptr() && !numpy_.PyArray_EquivTypes_(array.descr, dtype_.ptr())) return false;
  if ((array.flags & kPlainFlags) != kPlainFlags || array.nd != dims_.rank) return false;
  if (dims_.rank == 0) return true;
  if (dims_[0] == 0 ? array.dimensions[0] < 1 : array.dimensions[0] != dims_[0]) return false;
  for (std::int32_t axis = 1; axis < dims_.rank; ++axis) {
    if (array.dimensions[axis] != dims_[axis]) return false;
  }
  return true;
}

std::int64_t ArrayPort::batch_of(PyObject* array) const noexcept {
  return declared_batch_ != 0 ? declared_batch_ : py::detail::array_proxy(array)->dimensions[0];
}
void* ArrayPort::data_of(PyObject* array) noexcept { return py::detail::array_proxy(array)->data; }
bool ArrayPort::is_writable(PyObject* array) noexcept {
  return py::detail::check_flags(array, NumPy::NPY_ARRAY_WRITEABLE_);
}

PyObject* ArrayPort::new_array(std::int64_t batch) const noexcept {
  std::array<Py_intptr_t, kTensorRankMax> shape;
  for (std::int32_t axis = 0; axis < dims_.rank; ++axis) shape[static_cast<std::size_t>(axis)] = dims_[axis];
  if (dims_[0] == 0) shape[0] = batch;
  return numpy_.PyArray_NewFromDescr_(numpy_.PyArray_Type_, dtype_.inc_ref().ptr(), dims_.rank, shape.data(), nullptr,
                                      nullptr, 0, nullptr);
}

}  // namespace edgeml
