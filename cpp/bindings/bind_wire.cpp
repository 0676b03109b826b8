// SPDX-License-Identifier: Apache-2.0
// Python face of wire/: bytes from the network. edgeml.telemetry.strict_cbor and .varint are what people call.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>

#include <cstdint>
#include <span>
#include <string_view>

#include "bindings.h"
#include "wire/packed_counts.h"
#include "wire/strict_cbor.h"

namespace edgeml {
namespace {

namespace py = pybind11;

std::span<const std::uint8_t> bytes_of(const py::bytes& data) {
  const auto view = static_cast<std::string_view>(data);
  return {reinterpret_cast<const std::uint8_t*>(view.data()), view.size()};
}

py::array_t<std::int64_t> unpacked(const py::bytes& data) {
  const std::span<const std::uint8_t> packed = bytes_of(data);
  py::array_t<std::int64_t> counts(static_cast<py::ssize_t>(packed_counts_size(packed)));
  switch (unpack_counts(packed, {counts.mutable_data(), static_cast<std::size_t>(counts.size())})) {
    case PackedCountsFault::none:
      return counts;
    case PackedCountsFault::cut_off:
      raise("WireError", "counts are cut off");
    case PackedCountsFault::longer_than_needed:
      raise("WireError", "a count has more bytes than it needs");
    case PackedCountsFault::beyond_64_bits:
      break;
  }
  raise("WireError", "a count is beyond 64 bits");
}

}  // namespace

void bind_wire(py::module_& module) {
  module.def("unpack_counts", &unpacked, py::arg("packed"));
  module.def("cbor_fault", [](const py::bytes& data) { return cbor_fault(bytes_of(data)); }, py::arg("data"));
}

}  // namespace edgeml
