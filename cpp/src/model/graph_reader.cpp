// SPDX-License-Identifier: Apache-2.0
#include "model/graph_reader.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <string_view>
#include <unordered_set>
#include <utility>
#include <vector>

#include "base/int_math.h"
#include "model/block_sparse.h"
#include "model/byte_view.h"
#include "model/format.h"
#include "model/text_check.h"

namespace edgeml {
namespace {

using Bytes = std::span<const std::byte>;

struct Counts {
  std::uint32_t tensors, nodes, inputs, outputs, name_bytes, indices, attributes;
};

// The parts of the graph section after its header, in order.
struct Parts {
  Bytes tensors, nodes, inputs, outputs, indices, attributes, names;
};

Result<Counts> read_counts(Bytes graph) {
  if (static_cast<std::int64_t>(graph.size()) < format::kGraphHeaderBytes) {
    return fail(ErrorCode::bad_graph_size, "the graph section has ", graph.size(), " bytes, its header alone needs 32");
  }
  const Counts c{load<std::uint32_t>(graph, 0),  load<std::uint32_t>(graph, 4),  load<std::uint32_t>(graph, 8),
                 load<std::uint32_t>(graph, 12), load<std::uint32_t>(graph, 16), load<std::uint32_t>(graph, 20),
                 load<std::uint32_t>(graph, 24)};
  if (load<std::uint32_t>(graph, 28) != 0)
    return fail(ErrorCode::nonzero_unused, "the graph header has bits set in unused bytes");
  const auto within = [](std::uint32_t n, std::uint32_t max) { return n >= 1 && n <= max; };
  if (!within(c.tensors, format::kTensorsMax) || !within(c.nodes, format::kNodesMax) ||
      c.inputs > format::kGraphPortsMax || !within(c.outputs, format::kGraphPortsMax)) {
    return fail(ErrorCode::bad_graph_size, "the graph has ", c.tensors, " tensors, ", c.nodes, " nodes, ", c.inputs,
                " inputs and ", c.outputs, " outputs; it may have 1 to 65535, 1 to 65535, up to 64 and 1 to 64");
  }
  return c;
}

Result<Parts> split(Bytes graph, const Counts& c) {
  const std::int64_t sizes[] = {format::kTensorRecordBytes * c.tensors,
                                format::kNodeRecordBytes * c.nodes,
                                std::int64_t{4} * c.inputs,
                                std::int64_t{4} * c.outputs,
                                std::int64_t{4} * c.indices,
                                std::int64_t{4} * c.attributes,
                                std::int64_t{c.name_bytes}};
  std::int64_t total = format::kGraphHeaderBytes;
  for (const std::int64_t size : sizes) total += size;
  if (total != static_cast<std::int64_t>(graph.size())) {
    return fail(ErrorCode::bad_graph_size, "the graph section has ", graph.size(), " bytes, its counts need ", total);
  }
  Parts parts;
  std::int64_t at = format::kGraphHeaderBytes;
  Bytes* const fields[] = {&parts.tensors, &parts.nodes,      &parts.inputs, &parts.outputs,
                           &parts.indices, &parts.attributes, &parts.names};
  for (std::size_t i = 0; i < std::size(sizes); ++i) {
    *fields[i] = part(graph, at, sizes[i]);
    at += sizes[i];
  }
  return parts;
}

// Takes names from the blob one after another.
class Names {
 public:
  explicit Names(Bytes blob) : blob_(blob) {}

  Result<std::string> take(std::uint32_t bytes, std::uint32_t bytes_min, std::string_view what, std::uint32_t index) {
    if (bytes < bytes_min || bytes > format::kNameBytesMax || bytes > blob_.size()) {
      return fail(ErrorCode::bad_name, "the name of ", what, " ", index, " has ", bytes,
                  " bytes; it may have up to 1024 and must end inside the name blob");
    }
    const std::string_view name = as_text(blob_.first(bytes));
    blob_ = blob_.subspan(bytes);
    if (!is_utf8(name)) return fail(ErrorCode::bad_name, "the name of ", what, " ", index, " is not UTF-8");
    return std::string(name);
  }

  bool used_up() const { return blob_.empty(); }

 private:
  Bytes blob_;
};

Status read_dims(Bytes record, std::string_view where, Tensor& tensor) {
  tensor.dims.rank = load<std::uint8_t>(record, 2);
  if (tensor.dims.rank > kTensorRankMax) {
    return fail(ErrorCode::bad_dims, where, ": rank ", tensor.dims.rank, " is not in 0..8");
  }
  std::int64_t elements = 1;
  for (std::int32_t axis = 0; axis < kTensorRankMax; ++axis) {
    const std::int64_t size = load<std::uint32_t>(record, 8 + 4 * axis);
    tensor.dims[axis] = size;
    if (axis >= tensor.dims.rank) {
      if (size != 0) return fail(ErrorCode::nonzero_unused, where, ": dim ", axis, " is beyond the rank and not zero");
      continue;
    }
    const bool free_batch = axis == 0 && !tensor.is_constant && size == 0;
    if (!free_batch && (size < 1 || size > format::kDimMax))
      return fail(ErrorCode::bad_dims, where, ": dim ", axis, " is ", size);
    if (free_batch || (axis == 0 && tensor.is_quantized())) continue;  // bounded when it is bound
    const auto product = checked_mul(elements, size);
    if (!product || *product > format::kSampleElementsMax)
      return fail(ErrorCode::bad_dims, where, ": more than 2^31 - 1 elements");
    elements = *product;
  }
  return Done{};
}

Status read_quantization(Bytes record, std::string_view where, Tensor& tensor) {
  tensor.scale = load<float>(record, 40);
  tensor.zero_point = load<std::int32_t>(record, 44);
  const bool quantized = load<std::uint64_t>(record, 40) != 0;
  if (!quantized || tensor.dtype != DType::s8 || tensor.is_constant) {
    if (load<std::uint64_t>(record, 40) != 0)
      return fail(ErrorCode::nonzero_unused, where, ": scale and zero point must be 0 here");
    return Done{};
  }
  if (!std::isnormal(tensor.scale) || tensor.scale < 0)
    return fail(ErrorCode::bad_quantization, where, ": the scale is not a positive normal number");
  if (tensor.zero_point < -128 || tensor.zero_point > 127) {
    return fail(ErrorCode::bad_quantization, where, ": zero point ", tensor.zero_point, " is not in -128..127");
  }
  return Done{};
}

Status read_constant_range(Bytes record, Bytes constants, std::string_view where, Tensor& tensor) {
  const auto offset = load<std::uint64_t>(record, 48);
  const auto bytes = load<std::uint64_t>(record, 56);
  if (!tensor.is_constant) {
    if (offset != 0 || bytes != 0) return fail(ErrorCode::nonzero_unused, where, ": an activation has no data");
    return Done{};
  }
  const std::int64_t needed = tensor.dims.elements() * dtype_bytes(tensor.dtype);
  if (!tensor.is_sparse() && bytes != static_cast<std::uint64_t>(needed)) {
    return fail(ErrorCode::bad_constant_data, where, ": its dims need ", needed, " bytes, the record says ", bytes);
  }
  if (offset % format::kAlignment != 0 || offset > constants.size() || bytes > constants.size() - offset) {
    return fail(ErrorCode::bad_constant_data, where, ": its data (offset ", offset, ", ", bytes,
                " bytes) is not aligned or ends after byte ", constants.size(), " of the constants");
  }
  tensor.data = part(constants, static_cast<std::int64_t>(offset), static_cast<std::int64_t>(bytes));
  if (tensor.is_sparse()) return check_block_sparse(tensor, where);
  if (tensor.dtype == DType::boolean &&
      std::any_of(tensor.data.begin(), tensor.data.end(), [](std::byte value) { return value > std::byte{1}; })) {
    return fail(ErrorCode::bad_constant_data, where, ": a truth value is not 0 or 1");
  }
  return Done{};
}

Status read_tensors(const Counts& counts, const Parts& parts, Bytes constants, Names& names, Model& model) {
  std::unordered_set<std::string_view> seen;
  model.tensors.resize(counts.tensors);
  for (std::uint32_t i = 0; i < counts.tensors; ++i) {
    const Bytes record = part(parts.tensors, format::kTensorRecordBytes * std::int64_t{i}, format::kTensorRecordBytes);
    Tensor& tensor = model.tensors[i];
    Result<std::string> name = names.take(load<std::uint16_t>(record, 4), 1, "tensor", i);
    if (!name.ok()) return name.error();
    tensor.name = std::move(name).value();
    if (!seen.insert(tensor.name).second)
      return fail(ErrorCode::bad_name, "two tensors are named \"", tensor.name, "\"");
    const std::string where = text("tensor \"", tensor.name, "\"");
    const auto dtype = load<std::uint8_t>(record, 0);
    const auto kind = load<std::uint8_t>(record, 1);
    if (dtype < 1 || dtype > kDTypeMax || kind > 1)
      return fail(ErrorCode::bad_tensor, where, ": dtype ", dtype, ", kind ", kind, " are not known");
    tensor.dtype = static_cast<DType>(dtype);
    tensor.is_constant = kind == 1;
    tensor.block_rows = load<std::uint8_t>(record, 3);
    if (!all_zero(part(record, 6, 2)) || !all_zero(part(record, 64, 16)) ||
        (tensor.block_rows != 0 && !tensor.is_constant)) {
      return fail(ErrorCode::nonzero_unused, where, " has bits set in unused bytes");
    }
    EDGEML_RETURN_IF_ERROR(read_quantization(record, where, tensor));
    EDGEML_RETURN_IF_ERROR(read_dims(record, where, tensor));
    EDGEML_RETURN_IF_ERROR(read_constant_range(record, constants, where, tensor));
  }
  return Done{};
}

// Constants do not overlap, gaps between them are zero and shorter than 64 bytes, the section ends with the last one.
Status check_constant_layout(Bytes constants, const Model& model) {
  std::vector<const Tensor*> order;
  for (const Tensor& tensor : model.tensors) {
    if (tensor.is_constant) order.push_back(&tensor);
  }
  std::sort(order.begin(), order.end(),
            [](const Tensor* a, const Tensor* b) { return a->data.data() < b->data.data(); });
  std::int64_t end = 0;
  for (const Tensor* tensor : order) {
    const std::int64_t gap = tensor->data.data() - constants.data() - end;
    if (gap < 0 || gap >= format::kAlignment) {
      return fail(ErrorCode::bad_constant_data, "tensor \"", tensor->name,
                  "\": its data overlaps another's or follows a gap of 64 bytes or more");
    }
    if (!all_zero(part(constants, end, gap)))
      return fail(ErrorCode::nonzero_unused, "the gap before the data of tensor \"", tensor->name, "\" is not zero");
    end += gap + static_cast<std::int64_t>(tensor->data.size());
  }
  if (end != static_cast<std::int64_t>(constants.size())) {
    return fail(ErrorCode::bad_constant_data, "the constants section has ", constants.size(),
                " bytes, its tensors end at ", end);
  }
  return Done{};
}

// Only the weights of these two may be block-sparse; every other operator reads its constants as dense arrays.
Status check_sparse_uses(const Model& model) {
  for (const Node& node : model.nodes) {
    for (std::size_t i = 0; i < node.inputs.size(); ++i) {
      const Tensor& tensor = model.tensors[node.inputs[i]];
      const bool weights = i == 1 && (node.op == OpCode::conv2d || node.op == OpCode::fully_connected);
      if (tensor.is_sparse() && !weights) {
        return fail(ErrorCode::bad_operand, "node \"", node.name, "\": tensor \"", tensor.name,
                    "\" is block-sparse, which only the weights of conv2d and fully_connected may be");
      }
    }
  }
  return Done{};
}

Result<std::uint32_t> read_index(Bytes blob, std::int64_t at, const Model& model, std::string_view where) {
  const auto index = load<std::uint32_t>(blob, 4 * at);
  if (index >= model.tensors.size()) {
    return fail(ErrorCode::bad_index, where, " refers to tensor ", index, " of ", model.tensors.size());
  }
  return index;
}

Status read_nodes(const Counts& counts, const Parts& parts, Names& names, Model& model) {
  std::uint32_t next_index = 0;
  std::uint32_t next_attribute = 0;
  model.nodes.resize(counts.nodes);
  for (std::uint32_t i = 0; i < counts.nodes; ++i) {
    const Bytes record = part(parts.nodes, format::kNodeRecordBytes * std::int64_t{i}, format::kNodeRecordBytes);
    Node& node = model.nodes[i];
    const auto code = load<std::uint16_t>(record, 0);
    const std::uint32_t input_count = load<std::uint8_t>(record, 2);
    const std::uint32_t output_count = load<std::uint8_t>(record, 3);
    const std::uint32_t attribute_count = load<std::uint16_t>(record, 4);
    Result<std::string> name = names.take(load<std::uint16_t>(record, 6), 0, "node", i);
    if (!name.ok()) return name.error();
    node.name = std::move(name).value();
    const std::string where = text("node ", i, " \"", node.name, "\"");
    const OpInfo* info = find_op_info(code);
    if (info == nullptr)
      return fail(ErrorCode::unknown_operator, where, " has operator code ", code,
                  ", which this edgeml does not know; update it");
    node.op = info->code;
    if (std::cmp_less(input_count, info->inputs_min) || std::cmp_greater(input_count, info->inputs_max) ||
        output_count != 1 ||
        (info->attributes != kAnyAttributes && std::cmp_not_equal(attribute_count, info->attributes))) {
      return fail(ErrorCode::bad_node, where, ": ", info->name, " does not take ", input_count, " inputs, ",
                  output_count, " outputs and ", attribute_count, " attributes");
    }
    if (load<std::uint32_t>(record, 8) != next_index || load<std::uint32_t>(record, 12) != next_attribute ||
        input_count + output_count > counts.indices - next_index ||
        attribute_count > counts.attributes - next_attribute) {
      return fail(ErrorCode::bad_node, where,
                  ": its first index or attribute is not the running sum, or the blob is too short");
    }
    for (std::uint32_t k = 0; k < input_count + output_count; ++k) {
      const Result<std::uint32_t> index = read_index(parts.indices, next_index + k, model, where);
      if (!index.ok()) return index.error();
      (k < input_count ? node.inputs : node.outputs).push_back(index.value());
    }
    for (std::uint32_t k = 0; k < attribute_count; ++k)
      node.attributes.push_back(load<std::int32_t>(parts.attributes, 4 * std::int64_t{next_attribute + k}));
    next_index += input_count + output_count;
    next_attribute += attribute_count;
  }
  if (next_index != counts.indices || next_attribute != counts.attributes) {
    return fail(ErrorCode::bad_graph_size, "the index or attribute blob is longer than the nodes need");
  }
  return Done{};
}

Status read_ports(Bytes blob, std::uint32_t count, std::string_view what, const Model& model,
                  std::vector<std::uint32_t>& ports) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const std::string where = text("graph ", what, " ", i);
    const Result<std::uint32_t> index = read_index(blob, i, model, where);
    if (!index.ok()) return index.error();
    if (model.tensors[index.value()].is_constant) return fail(ErrorCode::bad_order, where, " is a constant");
    if (std::find(ports.begin(), ports.end(), index.value()) != ports.end())
      return fail(ErrorCode::bad_order, where, " is named twice");
    ports.push_back(index.value());
  }
  return Done{};
}

// Every activation is known before it is used, and made once.
Status check_order(const Model& model) {
  std::vector<bool> known(model.tensors.size());
  for (std::size_t i = 0; i < known.size(); ++i) known[i] = model.tensors[i].is_constant;
  for (const std::uint32_t input : model.inputs) known[input] = true;
  std::vector<bool> is_node_output(model.tensors.size());
  for (const Node& node : model.nodes) {
    for (const std::uint32_t input : node.inputs) {
      if (!known[input]) {
        return fail(ErrorCode::bad_order, "node \"", node.name, "\" reads tensor \"", model.tensors[input].name,
                    "\" before anything has made it");
      }
    }
    const std::uint32_t output = node.outputs[0];
    if (known[output]) {
      return fail(ErrorCode::bad_order, "node \"", node.name, "\" writes tensor \"", model.tensors[output].name,
                  "\", which is a constant, a graph input or made already");
    }
    known[output] = true;
    is_node_output[output] = true;
  }
  for (std::size_t i = 0; i < known.size(); ++i) {
    if (!known[i]) return fail(ErrorCode::bad_order, "nothing makes tensor \"", model.tensors[i].name, "\"");
  }
  for (const std::uint32_t output : model.outputs) {
    if (!is_node_output[output])
      return fail(ErrorCode::bad_order, "graph output \"", model.tensors[output].name,
                  "\" is not the output of a node");
  }
  return Done{};
}

// A free batch is axis 0 of every activation; a fixed one is that of the quantized activations, and plain ones are free
// to have another axis 0, or none.
Status read_batch(Model& model) {
  model.declared_batch = -1;
  for (const Tensor& tensor : model.tensors) {
    if (tensor.is_constant) continue;
    const bool has_batch = tensor.is_quantized() || (tensor.dims.rank > 0 && tensor.dims[0] == 0);
    if (tensor.is_quantized() && tensor.dims.rank == 0)
      return fail(ErrorCode::bad_dims, "tensor \"", tensor.name, "\" is quantized and has no batch axis");
    if (has_batch && model.declared_batch == -1) model.declared_batch = tensor.dims[0];
  }
  if (model.declared_batch == -1) model.declared_batch = 1;
  for (const Tensor& tensor : model.tensors) {
    const bool bound = model.has_free_batch() || tensor.is_quantized();
    const bool free = tensor.dims.rank > 0 && tensor.dims[0] == 0;
    if (tensor.is_constant || (!bound && !free)) continue;
    if (tensor.dims.rank == 0 || tensor.dims[0] != model.declared_batch) {
      return fail(ErrorCode::bad_dims, "tensor \"", tensor.name, "\": its batch ", tensor.dims[0],
                  " is not that of the graph, ", model.declared_batch);
    }
  }
  return Done{};
}

}  // namespace

Result<Model> read_graph(Bytes graph, Bytes constants) {
  const Result<Counts> counts = read_counts(graph);
  if (!counts.ok()) return counts.error();
  const Result<Parts> parts = split(graph, counts.value());
  if (!parts.ok()) return parts.error();
  Model model;
  Names names(parts.value().names);
  EDGEML_RETURN_IF_ERROR(read_tensors(counts.value(), parts.value(), constants, names, model));
  EDGEML_RETURN_IF_ERROR(check_constant_layout(constants, model));
  EDGEML_RETURN_IF_ERROR(read_nodes(counts.value(), parts.value(), names, model));
  if (!names.used_up()) return fail(ErrorCode::bad_graph_size, "the name blob is longer than the names need");
  EDGEML_RETURN_IF_ERROR(read_ports(parts.value().inputs, counts.value().inputs, "input", model, model.inputs));
  EDGEML_RETURN_IF_ERROR(read_ports(parts.value().outputs, counts.value().outputs, "output", model, model.outputs));
  EDGEML_RETURN_IF_ERROR(check_sparse_uses(model));
  EDGEML_RETURN_IF_ERROR(check_order(model));
  EDGEML_RETURN_IF_ERROR(read_batch(model));
  return model;
}

}  // namespace edgeml
