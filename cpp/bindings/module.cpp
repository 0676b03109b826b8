// SPDX-License-Identifier: Apache-2.0
// The extension module edgeml._core.
#include "bindings.h"

PYBIND11_MODULE(_core, module) {
  module.doc() = "The native core of edgeml. The public surface is the package edgeml.";
  edgeml::bind_noise(module);
  edgeml::bind_observe(module);
  edgeml::bind_cpu(module);
  edgeml::bind_session(module);
  edgeml::bind_wire(module);
}
