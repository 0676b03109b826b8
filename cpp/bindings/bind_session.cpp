// SPDX-License-Identifier: Apache-2.0
// Python face of the inference session: arrays in, arrays out, failures become exceptions, the interpreter runs on
// meanwhile.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "bindings.h"
#include "bound_run.h"
#include "edgeml/inference_session.h"
#include "session.h"

namespace edgeml {
namespace {

namespace py = pybind11;

py::tuple to_tuple(const Dims& dims) {
  py::tuple tuple(dims.rank);
  for (std::int32_t axis = 0; axis < dims.rank; ++axis) tuple[axis] = dims[axis];
  return tuple;
}

// Methods on the path of every call are plain C functions of Python: pybind11's dispatch would allocate, and cost as
// much as everything else around a run.
template <class T, class Work>
PyObject* call_native(PyObject* self, const Work& work) {
  try {
    auto* const object =
        static_cast<T*>(reinterpret_cast<py::detail::instance*>(self)->get_value_and_holder().value_ptr());
    if (object == nullptr) throw py::type_error("the object was made without __init__");
    return work(*object).release().ptr();
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const py::builtin_exception& error) {
    error.set_error();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
  return nullptr;
}

PyObject* session_run(PyObject* self, PyObject* feed) {
  return call_native<Session>(self, [feed](Session& session) { return session.run(feed); });
}

PyObject* bound_run_call(PyObject* self, PyObject*) {
  return call_native<BoundRun>(self, [](BoundRun& run) {
    run();
    return py::none();
  });
}

PyMethodDef session_run_method{"run", &session_run, METH_O,
                               "{name: array} -> list of new arrays in the order of `outputs`; None, and nothing "
                               "done, unless the dict holds exactly the inputs, of the right dtype and shape, "
                               "contiguous and aligned."};
PyMethodDef bound_run_call_method{"__call__", &bound_run_call, METH_NOARGS,
                                  "Run the network on the bound arrays, in place. Allocates nothing, unless a run of "
                                  "another batch size came in between."};

std::optional<LayerRates> to_rates(const std::optional<std::array<double, 7>>& fields) {
  if (!fields) return std::nullopt;
  const auto& f = *fields;
  return LayerRates{f[0], f[1], {f[2], f[3], f[4]}, f[5], f[6]};
}

template <class Class>
void add_native(const Class& type, PyMethodDef& method) {
  PyObject* const descriptor = PyDescr_NewMethod(reinterpret_cast<PyTypeObject*>(type.ptr()), &method);
  if (descriptor == nullptr) throw py::error_already_set();
  type.attr(method.ml_name) = py::reinterpret_steal<py::object>(descriptor);
}

}  // namespace

void bind_session(py::module_& module) {
  py::class_<TensorInfo>(module, "TensorInfo", "A graph input or output.")
      .def_readonly("name", &TensorInfo::name)
      .def_property_readonly("dtype", [](const TensorInfo& info) { return std::string(dtype_name(info.dtype)); })
      .def_property_readonly(
          "dims", [](const TensorInfo& info) { return to_tuple(info.dims); }, "Axis 0 is the batch, 0 = free.")
      .def_readonly("scale", &TensorInfo::scale)
      .def_readonly("zero_point", &TensorInfo::zero_point);

  py::class_<NodeProfile>(module, "NodeProfile", "What one node cost.")
      .def_readonly("name", &NodeProfile::name)
      .def_readonly("op", &NodeProfile::op)
      .def_readonly("kernel", &NodeProfile::kernel)
      .def_readonly("output_dims", &NodeProfile::output_dims)
      .def_readonly("macs", &NodeProfile::macs)
      .def_readonly("duration_ns", &NodeProfile::duration_ns);

  py::class_<ArenaBlock>(module, "ArenaBlock", "A block of the arena and the nodes, first to last, that need it.")
      .def_readonly("tensors", &ArenaBlock::tensors)
      .def_readonly("workspace_of", &ArenaBlock::workspace_of)
      .def_readonly("offset", &ArenaBlock::offset)
      .def_readonly("bytes", &ArenaBlock::bytes)
      .def_readonly("first", &ArenaBlock::first)
      .def_readonly("last", &ArenaBlock::last);

  const auto session =
      py::class_<Session>(module, "Session", "A checked, planned and prepacked artifact.")
          .def(py::init([](const py::object& source, int threads, std::optional<std::string> isa,
                           const std::optional<std::array<double, 7>>& rates) {
                 return std::make_unique<Session>(source, threads, std::move(isa), to_rates(rates));
               }),
               py::arg("source"), py::arg("threads"), py::arg("isa"), py::arg("rates") = py::none(),
               "source: a path as str, or the bytes of the file. rates: as measure_layer_rates gives them.")
          .def_property_readonly("inputs", [](const Session& s) { return s.get().inputs(); })
          .def_property_readonly("outputs", [](const Session& s) { return s.get().outputs(); })
          .def_property_readonly("metadata", [](const Session& s) { return s.get().metadata(); })
          .def_property_readonly("telemetry", [](const Session& s) { return s.get().telemetry(); })
          .def_property_readonly("isa", [](const Session& s) { return s.get().isa(); })
          .def_property_readonly("threads", [](const Session& s) { return s.get().threads(); })
          .def_property_readonly(
              "declared_batch", [](const Session& s) { return s.get().declared_batch(); },
              "0 if it is free; 1 where no tensor has a batch axis.")
          .def_property_readonly("arena_bytes", &Session::arena_bytes)
          .def_property_readonly("live_bytes_max", &Session::live_bytes_max)
          .def_property_readonly("arena_blocks", &Session::arena_blocks)
          .def_property_readonly("macs_per_sample", [](const Session& s) { return s.get().macs_per_sample(); })
          .def_property_readonly("packed_weight_bytes", [](const Session& s) { return s.get().packed_weight_bytes(); })
          .def("plan_text", &Session::plan_text)
          .def("bind", &Session::bind, py::arg("batch"))
          .def(
              "bind_arrays",
              [](py::object self, const py::list& inputs, const py::list& outputs) {
                return std::make_unique<BoundRun>(std::move(self), inputs, outputs);
              },
              py::arg("inputs"), py::arg("outputs"), "Arrays in the order of `inputs` and `outputs`.")
          .def("profile", &Session::profile, py::arg("feed"), py::arg("runs"))
          .def("durations_ns", &Session::durations_ns, py::arg("feed"), py::arg("runs"),
               "Nanoseconds of each of `runs` runs in a row, measured around the core alone, without Python.");
  add_native(session, session_run_method);

  const auto bound_run =
      py::class_<BoundRun>(module, "BoundRun", "A session and the arrays that its calls read and write.")
          .def_property_readonly("inputs", &BoundRun::inputs, "The bound input arrays by name; a new dict.")
          .def_property_readonly("outputs", &BoundRun::outputs, "The bound output arrays by name; a new dict.");
  add_native(bound_run, bound_run_call_method);
}

}  // namespace edgeml
