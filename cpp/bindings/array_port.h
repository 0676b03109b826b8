// SPDX-License-Identifier: Apache-2.0
// A graph input or output as NumPy sees it: whether an array is exactly what the core takes, and new arrays that are.
#pragma once

#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>

#include "edgeml/tensor.h"

namespace edgeml {

// The path of every call, so it asks NumPy's C API and not Python: some 10 ns an array.
class ArrayPort {
 public:
  // declared_batch: of the session; 0 where it is free.
  ArrayPort(const TensorInfo& info, std::int64_t declared_batch);

  PyObject* name() const noexcept { return name_.ptr(); }

  // True for an ndarray of the port's dtype in native byte order, in C order, aligned, of the port's dims with any
  // batch from 1 on. Never raises.
  bool takes(PyObject* object) const noexcept;
  // Of an array that takes() is true for.
  std::int64_t batch_of(PyObject* array) const noexcept;
  static void* data_of(PyObject* array) noexcept;
  static bool is_writable(PyObject* array) noexcept;

  // An uninitialised array of this batch; a new reference, or null with a Python error set.
  PyObject* new_array(std::int64_t batch) const noexcept;

 private:
  const pybind11::detail::npy_api& numpy_;
  pybind11::object name_;  // interned: as a key of the caller's dict it is most often the same object
  pybind11::dtype dtype_;
  Dims dims_;  // dims_[0] == 0: free
  std::int64_t declared_batch_;
};

}  // namespace edgeml
