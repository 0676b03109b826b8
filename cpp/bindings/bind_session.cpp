// SPDX-License-Identifier: Apache-2.0
// Python face of the inference session: arrays in, arrays out, failures become exceptions, the interpreter runs on
// meanwhile.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <mutex>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "bindings.h"
#include "edgeml/inference_session.h"

namespace edgeml {
namespace {

namespace py = pybind11;

[[noreturn]] void raise_error(const Error& error) {
  raise(std::string(error_exception(error.code)).c_str(), error.message);
}

py::dtype to_dtype(DType dtype) { return py::dtype(std::string(dtype_name(dtype))); }

py::tuple to_tuple(const Dims& dims) {
  py::tuple tuple(dims.rank);
  for (std::int32_t axis = 0; axis < dims.rank; ++axis) tuple[axis] = dims[axis];
  return tuple;
}

// One session and the lock that lets several Python threads share it; the lock is taken without the GIL.
class Session {
 public:
  Session(const py::object& source, int threads, std::optional<std::string> isa)
      : session_(open(source, {.threads = threads, .isa = std::move(isa)})) {}

  const InferenceSession& get() const { return session_; }

  std::vector<py::array> run(const std::vector<py::array>& inputs, std::int64_t batch) {
    auto [in, outputs, out] = buffers(inputs, batch);
    with_batch(batch, [&] { session_.execute(in, out); });
    return std::move(outputs);
  }

  std::vector<NodeProfile> profile(const std::vector<py::array>& inputs, std::int64_t batch, int runs) {
    if (runs < 1) raise("UsageError", "runs is " + std::to_string(runs) + ", expected at least 1");
    auto [in, outputs, out] = buffers(inputs, batch);
    std::vector<NodeProfile> nodes;
    with_batch(batch, [&] { nodes = session_.profile(in, out, runs); });
    return nodes;
  }

  void bind(std::int64_t batch) {
    with_batch(batch, [] {});
  }

  // What depends on the bound batch is read under the lock too.
  std::int64_t arena_bytes() {
    const py::gil_scoped_release unlocked;
    const std::lock_guard lock(mutex_);
    return session_.arena_bytes();
  }

  std::string plan_text() {
    const py::gil_scoped_release unlocked;
    const std::lock_guard lock(mutex_);
    return session_.plan_text();
  }

 private:
  struct Buffers {
    std::vector<const void*> in;
    std::vector<py::array> outputs;
    std::vector<void*> out;
  };

  // Binds and works under one lock, so that no other caller binds in between. The GIL is never waited for with the lock
  // held, nor the lock with the GIL held: either order alone would be safe, both together deadlock.
  template <class Work>
  void with_batch(std::int64_t batch, const Work& work) {
    std::optional<Error> error;
    {
      const py::gil_scoped_release unlocked;
      const std::lock_guard lock(mutex_);
      if (const Status status = session_.bind(batch); !status.ok()) {
        error = status.error();
      } else {
        work();
      }
    }
    if (error) raise_error(*error);
  }

  static InferenceSession open(const py::object& source, const SessionOptions& options) {
    Result<InferenceSession> result = [&] {
      if (py::isinstance<py::bytes>(source)) {
        const auto bytes = source.cast<std::string_view>();
        const py::gil_scoped_release unlocked;
        return InferenceSession::open(std::as_bytes(std::span(bytes)), options);
      }
      const auto path = source.cast<std::string>();
      const py::gil_scoped_release unlocked;
      return InferenceSession::open(path, options);
    }();
    if (!result.ok()) raise_error(result.error());
    return std::move(result).value();
  }

  // Addresses of the inputs, whose shapes and dtypes session.py has checked, and fresh arrays for the outputs.
  Buffers buffers(const std::vector<py::array>& inputs, std::int64_t batch) const {
    Buffers buffers;
    for (const py::array& input : inputs) buffers.in.push_back(input.data());
    for (const TensorInfo& info : session_.outputs()) {
      std::vector<py::ssize_t> shape(info.dims.size.begin(), info.dims.size.begin() + info.dims.rank);
      shape[0] = batch;
      buffers.outputs.emplace_back(to_dtype(info.dtype), shape);
      buffers.out.push_back(buffers.outputs.back().mutable_data());
    }
    return buffers;
  }

  InferenceSession session_;
  std::mutex mutex_;
};

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

  py::class_<Session>(module, "Session", "A checked, planned and prepacked artifact.")
      .def(py::init<const py::object&, int, std::optional<std::string>>(), py::arg("source"), py::arg("threads"),
           py::arg("isa"), "source: a path as str, or the bytes of the file.")
      .def_property_readonly("inputs", [](const Session& s) { return s.get().inputs(); })
      .def_property_readonly("outputs", [](const Session& s) { return s.get().outputs(); })
      .def_property_readonly("metadata", [](const Session& s) { return s.get().metadata(); })
      .def_property_readonly("telemetry", [](const Session& s) { return s.get().telemetry(); })
      .def_property_readonly("isa", [](const Session& s) { return s.get().isa(); })
      .def_property_readonly("threads", [](const Session& s) { return s.get().threads(); })
      .def_property_readonly("arena_bytes", &Session::arena_bytes)
      .def_property_readonly("macs_per_sample", [](const Session& s) { return s.get().macs_per_sample(); })
      .def_property_readonly("packed_weight_bytes", [](const Session& s) { return s.get().packed_weight_bytes(); })
      .def("plan_text", &Session::plan_text)
      .def("bind", &Session::bind, py::arg("batch"))
      .def("run", &Session::run, py::arg("inputs"), py::arg("batch"),
           "C-contiguous arrays in the order of `inputs`, checked by the caller -> new arrays in the order of "
           "`outputs`.")
      .def("profile", &Session::profile, py::arg("inputs"), py::arg("batch"), py::arg("runs"));
}

}  // namespace edgeml
