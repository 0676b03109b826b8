// SPDX-License-Identifier: Apache-2.0
// Python face of noise/: RawCounts, ReleasedCounts and the one way between them.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include "bindings.h"
#include "noise/discrete_laplace.h"
#include "noise/release.h"

namespace edgeml {
namespace {

namespace py = pybind11;

py::array_t<std::int64_t> to_array(std::span<const std::int64_t> values) {
  return py::array_t<std::int64_t>(static_cast<py::ssize_t>(values.size()), values.data());
}

ReleasedCounts release_or_raise(const RawCounts& raw, std::uint64_t numerator, std::uint64_t denominator) {
  SystemByteSource source;
  std::optional<ReleasedCounts> released;
  const ReleaseStatus status = release(raw, {numerator, denominator}, source, released);
  if (released) return *std::move(released);
  switch (status) {
    case ReleaseStatus::bad_scale:
      raise("UsageError", "noise scale " + std::to_string(numerator) + "/" + std::to_string(denominator) +
                              ": numerator and denominator must be 1 to 2^40");
    case ReleaseStatus::no_entropy:
      raise("DeviceError", "release: the operating system gives no random bytes (getrandom)");
    case ReleaseStatus::done:
    case ReleaseStatus::overflow:
      break;
  }
  raise("DeviceError", "release: a count with its noise does not fit into 64 bits; take a shorter window");
}

}  // namespace

void bind_noise(py::module_& module) {
  py::class_<RawCounts>(module, "RawCounts",
                        "Exact counts of one window. Shows nothing, becomes nothing but ReleasedCounts.")
      .def("__repr__", [](const RawCounts&) { return "<edgeml RawCounts: not to be shown>"; })
      .def("__reduce_ex__",
           [](const RawCounts&, int) -> py::object { throw py::type_error("RawCounts cannot be pickled or copied"); });

  py::class_<ReleasedCounts>(module, "ReleasedCounts", "Counts with discrete Laplace noise; made by release() alone.")
      .def_property_readonly(
          "counts", [](const ReleasedCounts& released) { return to_array(released.values()); },
          "The window vector, one int64 a slot; a copy.")
      .def_property_readonly(
          "noise_scale",
          [](const ReleasedCounts& released) {
            return py::make_tuple(released.noise_scale().numerator, released.noise_scale().denominator);
          },
          "(numerator, denominator) of the scale t of the noise.");

  module.def(
      "release", &release_or_raise, py::arg("raw"), py::arg("numerator"), py::arg("denominator"), py::pos_only(),
      "Add discrete Laplace noise of scale numerator / denominator, from the system's CSPRNG, to every count.\n\n"
      "Devices call edgeml.privacy.release, which charges the budget first.");
  module.def(
      "reference_counts", [](const RawCounts& raw) { return to_array(reference_counts(raw)); }, py::arg("raw"),
      py::pos_only(),
      "Exact counts as an int64 array, without noise. For the converter alone: the counts of calibration data are the\n"
      "public reference that the schema carries. Counts of what a device has seen leave through release().");
  module.def(
      "seeded_discrete_laplace",
      [](std::uint64_t seed, std::uint64_t numerator, std::uint64_t denominator, py::ssize_t count) {
        SeededByteSource source(seed);
        py::array_t<std::int64_t> draws(count);
        for (std::int64_t& z : std::span(draws.mutable_data(), static_cast<std::size_t>(count))) {
          const std::optional<std::int64_t> draw = discrete_laplace({numerator, denominator}, source);
          if (!draw) throw py::value_error("noise scale outside its range");
          z = *draw;
        }
        return draws;
      },
      py::arg("seed"), py::arg("numerator"), py::arg("denominator"), py::arg("count"), py::pos_only(),
      "The same draws for the same seed on every machine. For tests and benchmarks: a release is never seeded.");
}

}  // namespace edgeml
