// SPDX-License-Identifier: Apache-2.0
// Python face of noise/: RawCounts, ReleasedCounts and the one way between them.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <optional>
#include <string>

#include "bindings.h"
#include "noise/discrete_gaussian.h"
#include "noise/discrete_laplace.h"
#include "noise/release.h"
#include "noise/table_sampler.h"

namespace edgeml {
namespace {

namespace py = pybind11;

py::array_t<std::int64_t> to_array(std::span<const std::int64_t> values) {
  return py::array_t<std::int64_t>(static_cast<py::ssize_t>(values.size()), values.data());
}

Sampler sampler_from_name(const std::string& name) {
  if (name == "exact") return Sampler::exact;
  if (name == "constant_time") return Sampler::constant_time;
  raise("UsageError", "sampler '" + name + "' is neither 'exact' nor 'constant_time'");
}

ReleasedCounts release_or_raise(const RawCounts& raw, std::uint64_t numerator, std::uint64_t denominator,
                                const std::string& sampler) {
  SystemByteSource source;
  std::optional<ReleasedCounts> released;
  const ReleaseStatus status = release(raw, {numerator, denominator}, sampler_from_name(sampler), source, released);
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

bool is_allowed(NoiseScale scale) {
  const auto allowed = [](std::uint64_t part) { return part >= 1 && part <= kNoiseScaleMax; };
  return allowed(scale.numerator) && allowed(scale.denominator);
}

TableSampler table_sampler(const std::string& distribution, std::uint64_t numerator, std::uint64_t denominator) {
  if (distribution == "discrete_laplace" && is_allowed(NoiseScale{numerator, denominator})) {
    return TableSampler::discrete_laplace({numerator, denominator});
  }
  if (distribution == "discrete_gaussian" && is_allowed(NoiseVariance{numerator, denominator})) {
    if (auto sampler = TableSampler::discrete_gaussian({numerator, denominator})) return *std::move(sampler);
  }
  throw py::value_error("no tables for " + distribution + " of this parameter");
}

void draw_exactly(const std::string& distribution, std::uint64_t numerator, std::uint64_t denominator,
                  ByteSource& source, std::span<std::int64_t> draws) {
  const bool is_laplace = distribution == "discrete_laplace" && is_allowed(NoiseScale{numerator, denominator});
  const bool is_gaussian = distribution == "discrete_gaussian" && is_allowed(NoiseVariance{numerator, denominator});
  if (!is_laplace && !is_gaussian) throw py::value_error("no " + distribution + " of this parameter");
  for (std::int64_t& z : draws) {
    const std::optional<std::int64_t> draw = is_laplace ? discrete_laplace({numerator, denominator}, source)
                                                        : discrete_gaussian({numerator, denominator}, source);
    if (!draw) throw py::value_error("a draw outside its range");
    z = *draw;
  }
}

// seed: None draws from the system.
py::array_t<std::int64_t> noise_draws(const std::string& distribution, std::uint64_t numerator,
                                      std::uint64_t denominator, const std::string& sampler,
                                      std::optional<std::uint64_t> seed, py::ssize_t count) {
  py::array_t<std::int64_t> array(count);
  const std::span draws(array.mutable_data(), static_cast<std::size_t>(count));
  SystemByteSource system;
  SeededByteSource seeded(seed.value_or(0));
  ByteSource& source = seed ? static_cast<ByteSource&>(seeded) : system;
  if (sampler_from_name(sampler) == Sampler::exact) {
    draw_exactly(distribution, numerator, denominator, source, draws);
  } else {
    table_sampler(distribution, numerator, denominator).draw(draws, source);
  }
  return array;
}

py::tuple noise_tables(const std::string& distribution, std::uint64_t numerator, std::uint64_t denominator) {
  const TableSampler sampler = table_sampler(distribution, numerator, denominator);
  py::list tables;
  for (const TableSampler::Table& table : sampler.tables()) {
    const std::span last(table.last.data(), static_cast<std::size_t>(table.outcomes - 1));
    tables.append(py::make_tuple(to_array(last), table.weight, table.is_signed));
  }
  return py::make_tuple(tables, sampler.variation_bound());
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
      "release", &release_or_raise, py::arg("raw"), py::arg("numerator"), py::arg("denominator"),
      py::arg("sampler") = "exact", py::pos_only(),
      "Add discrete Laplace noise of scale numerator / denominator, from the system's CSPRNG, to every count.\n\n"
      "Devices call edgeml.privacy.release, which charges the budget first.");
  module.def(
      "reference_counts", [](const RawCounts& raw) { return to_array(reference_counts(raw)); }, py::arg("raw"),
      py::pos_only(),
      "Exact counts as an int64 array, without noise. For the converter alone: the counts of calibration data are the\n"
      "public reference that the schema carries. Counts of what a device has seen leave through release().");
  module.def(
      "noise_draws", &noise_draws, py::arg("distribution"), py::arg("numerator"), py::arg("denominator"), py::kw_only(),
      py::arg("sampler") = "exact", py::arg("seed") = py::none(), py::arg("count"),
      "Bare draws of \"discrete_laplace\" (t) or \"discrete_gaussian\" (sigma^2). For tests and benchmarks: with a\n"
      "seed the same draws on every machine; a release is never seeded.");
  module.def(
      "noise_tables", &noise_tables, py::arg("distribution"), py::arg("numerator"), py::arg("denominator"),
      "([(last words, weight, is signed) of each digit], variation bound in 2^-65) of the constant-time sampler.");
}

}  // namespace edgeml
