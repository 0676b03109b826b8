// SPDX-License-Identifier: Apache-2.0
// Python face of observe/: the Observer over arrays. edgeml.observe.Observer is what people call.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <vector>

#include "bindings.h"
#include "observe/observer.h"

namespace edgeml {
namespace {

namespace py = pybind11;

using Array = py::array_t<float, py::array::c_style>;

// (kind, tensor, index, lo, hi, edges); kind, edges and bounds are checked by edgeml.observe.schema.
using FeatureTuple = std::tuple<std::string, int, std::int64_t, float, float, std::vector<float>>;

// An observer and the names of its tensors, with room for their views, so that a call allocates nothing here either.
class ArrayObserver {
 public:
  ArrayObserver(const std::vector<FeatureTuple>& features, std::vector<std::string> tensor_names)
      : observer_(specs_of(features, tensor_names.size())), names_(std::move(tensor_names)), views_(names_.size()) {
    if (static_cast<std::size_t>(observer_.tensor_count()) != names_.size()) {
      throw py::value_error("a tensor without features");
    }
  }

  // Arrays float32, C order, [samples, channels, ...], in the order of the tensor names.
  void observe(const py::sequence& arrays, double latency_us) {
    if (arrays.size() != names_.size()) {
      raise("InputError", "observe: " + std::to_string(names_.size()) + " arrays are needed, one a tensor");
    }
    py::ssize_t samples = names_.empty() ? 1 : -1;
    for (std::size_t i = 0; i < names_.size(); ++i) {
      const py::object item = arrays[i];
      if (!Array::check_(item)) {
        raise("InputError", "observe: tensor '" + names_[i] + "' must be a float32 array in C order");
      }
      const auto array = py::reinterpret_borrow<py::array>(item);
      if (array.ndim() < 1) raise("InputError", "observe: tensor '" + names_[i] + "' needs a batch axis");
      if (samples >= 0 && array.shape(0) != samples) {
        raise("InputError", "observe: tensor '" + names_[i] + "' has " + std::to_string(array.shape(0)) +
                                " samples, the ones before it " + std::to_string(samples));
      }
      samples = array.shape(0);
      TensorView& view = views_[i];
      view.data = static_cast<const float*>(array.data());
      view.channels = array.ndim() > 1 ? array.shape(1) : 1;
      view.inner = 1;
      for (py::ssize_t axis = 2; axis < array.ndim(); ++axis) view.inner *= array.shape(axis);
      if (const std::string why = observer_.mismatch(static_cast<int>(i), view); !why.empty()) {
        raise("InputError", "observe: tensor '" + names_[i] + "': " + why);
      }
    }
    observer_.observe(views_, samples, static_cast<float>(latency_us));
  }

  RawCounts take() { return observer_.take(); }

  void put_back(const RawCounts& raw) {
    if (static_cast<std::int64_t>(reference_counts(raw).size()) != observer_.slot_count()) {
      raise("UsageError", "put_back: the counts are of another telemetry schema");
    }
    observer_.put_back(raw);
  }

  std::int64_t slot_count() const { return observer_.slot_count(); }

 private:
  static std::vector<FeatureSpec> specs_of(const std::vector<FeatureTuple>& features, std::size_t tensors) {
    std::vector<FeatureSpec> specs;
    for (const auto& [kind_name, tensor, index, lo, hi, edges] : features) {
      const std::optional<FeatureKind> kind = feature_kind_from_name(kind_name);
      const bool is_latency = kind == FeatureKind::latency_us;
      const bool has_tensor = tensor >= 0 && static_cast<std::size_t>(tensor) < tensors;
      if (!kind || is_latency == has_tensor || index < 0 || edges.size() < 2) {
        throw py::value_error("a feature that edgeml.observe.schema would refuse: " + kind_name);
      }
      specs.push_back({*kind, is_latency ? -1 : tensor, index, lo, hi, edges});
    }
    return specs;
  }

  Observer observer_;
  std::vector<std::string> names_;
  std::vector<TensorView> views_;
};

}  // namespace

void bind_observe(py::module_& module) {
  py::class_<ArrayObserver>(module, "Observer")
      .def(py::init<const std::vector<FeatureTuple>&, std::vector<std::string>>(), py::arg("features"),
           py::arg("tensor_names"))
      .def("observe", &ArrayObserver::observe, py::arg("arrays"), py::arg("latency_us"))
      .def("take", &ArrayObserver::take)
      .def("put_back", &ArrayObserver::put_back, py::arg("raw"))
      .def_property_readonly("slot_count", &ArrayObserver::slot_count);
}

}  // namespace edgeml
