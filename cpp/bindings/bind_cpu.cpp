// SPDX-License-Identifier: Apache-2.0
// Python face of the three tables: ISA levels, kernels, operators, and what this machine takes of them.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <string>
#include <tuple>

#include "base/crc32c.h"
#include "bindings.h"
#include "cpu/cpu_features.h"
#include "kernels/kernel_table.h"
#include "model/model.h"
#include "ops/layer_cost.h"
#include "runtime/measure_rates.h"
#include "runtime/peak_rate.h"

namespace edgeml {
namespace {

namespace py = pybind11;

py::list isas() {
  py::list list;
  for (const Isa isa : isas_of(detect_cpu_features())) list.append(std::string(isa_name(isa)));
  return list;
}

py::list isa_levels() {
  py::list list;
#define EDGEML_ISA(name, arch, condition) list.append(#name);
#include "cpu/isa.def"
#undef EDGEML_ISA
  return list;
}

py::list kernel_rows() {
  py::list list;
#define EDGEML_KERNEL(family, Fn, isa, mr, nr, kr, symbol) list.append(py::make_tuple(#family, #isa, #symbol));
#include "kernels/kernels.def"
#undef EDGEML_KERNEL
  return list;
}

kernels::KernelTable table_of(const std::string& isa) {
  const CpuFeatures features = detect_cpu_features();
  const std::optional<Isa> level = isa_from_name(isa);
  if (!level || !isa_runs_on(*level, features)) {
    raise("IsaError", "isa " + isa + ": this machine does not run it; `edgeml info` lists what it runs");
  }
  return kernels::choose_kernels(features, *level);
}

py::dict chosen_kernels(const std::string& isa) {
  const kernels::KernelTable table = table_of(isa);
  py::dict chosen;
#define EDGEML_KERNEL(family, Fn, isa_, mr, nr, kr, symbol) \
  if (Isa::isa_ == Isa::ref) chosen[#family] = table.family.name;
#include "kernels/kernels.def"
#undef EDGEML_KERNEL
  return chosen;
}

double layer_cycles(const std::string& isa, std::int64_t channels, std::int64_t depth_words, std::int64_t pixels,
                    std::int64_t swept_pixels, int block_rows, std::int64_t blocks) {
  const std::optional<Isa> level = isa_from_name(isa);
  if (!level) raise("IsaError", "isa " + isa + " is not a level of edgeml");
  if (block_rows != 0 && block_rows != 1 && block_rows != 2 && block_rows != 4) {
    raise("UsageError", "block_rows " + std::to_string(block_rows) + " is none of 0, 1, 2 and 4");
  }
  const LayerRates& rates = default_layer_rates(*level);
  const LayerShape shape{channels, depth_words, pixels, swept_pixels};
  return block_rows == 0 ? dense_cycles(rates, shape) : sparse_cycles(rates, shape, block_rows, blocks);
}

py::list operators() {
  py::list list;
  for (const OpInfo& info : op_infos()) {
    list.append(py::make_tuple(static_cast<int>(info.code), std::string(info.name), info.inputs_min, info.inputs_max,
                               info.attributes, std::string(info.from_onnx), std::string(info.quantization)));
  }
  return list;
}

}  // namespace

void bind_cpu(py::module_& module) {
  module.attr("ISAS") = py::tuple(isas());
  module.attr("ISA_LEVELS") = py::tuple(isa_levels());
  module.attr("KERNELS") = py::tuple(kernel_rows());
  module.attr("OPERATORS") = py::tuple(operators());
  module.def("chosen_kernels", &chosen_kernels, py::arg("isa"), "Family -> kernel that a session of this level runs.");
  module.def(
      "peak_macs_per_s", [](const std::string& isa) { return peak_macs_per_s(table_of(isa).qs8_gemm); }, py::arg("isa"),
      "Multiply-accumulates per second of the level's matmul kernel on data in L1, measured now.");
  module.def(
      "layer_cycles", &layer_cycles, py::arg("isa"), py::kw_only(), py::arg("channels"), py::arg("depth_words"),
      py::arg("pixels"), py::arg("swept_pixels"), py::arg("block_rows") = 0, py::arg("blocks") = 0,
      "Predicted cycles of a convolution or product on one core of any level, dense (block_rows 0) or with so "
      "many blocks of block_rows x 4 weights; depth_words: taps * ceil(input channels / 4); pixels: outputs of a "
      "channel; swept_pixels: from the first to the last at the row pitch of a sparse convolution.");
  module.def(
      "measure_layer_rates",
      [](const std::string& isa) {
        const kernels::KernelTable table = table_of(isa);
        const py::gil_scoped_release unlocked;
        const LayerRates r = measure_layer_rates(table);
        return std::make_tuple(r.lanes, r.dense, r.sparse[0], r.sparse[1], r.sparse[2], r.dense_output,
                               r.sparse_output);
      },
      py::arg("isa"),
      "Lanes; multiply-accumulates per nanosecond dense and with blocks of 1, 2 and 4 rows; nanoseconds per output "
      "dense and "
      "sparse. Measured now.");
  module.def(
      "crc32c", [](const py::bytes& bytes) { return crc32c(std::as_bytes(std::span(std::string_view(bytes)))); },
      py::arg("data"));
}

}  // namespace edgeml
