// SPDX-License-Identifier: Apache-2.0
// Header, section table and text sections; the graph section is graph_reader.cpp.
#include "model/reader.h"

#include <array>
#include <cstring>

#include "base/crc32c.h"
#include "model/byte_view.h"
#include "model/format.h"
#include "model/graph_reader.h"
#include "model/text_check.h"

namespace edgeml {
namespace {

using Bytes = std::span<const std::byte>;

// Artifact section 1. Gives the number of sections.
Result<std::uint32_t> read_header(Bytes file) {
  const auto size = static_cast<std::int64_t>(file.size());
  if (size < format::kHeaderBytes) {
    return fail(ErrorCode::truncated, "the file has ", size,
                " bytes, the header alone needs 64; copy the artifact again");
  }
  if (std::memcmp(file.data(), format::kMagic.data(), format::kMagic.size()) != 0) {
    return fail(ErrorCode::bad_magic,
                "the file does not begin as an .edgeml artifact; convert the model with `edgeml convert`");
  }
  const auto version = load<std::uint32_t>(file, 8);
  if (version != format::kVersion) {
    return fail(ErrorCode::bad_version, "the artifact has format version ", version, ", this edgeml reads version ",
                format::kVersion, "; convert the model again");
  }
  if (crc32c(part(file, 0, 60)) != load<std::uint32_t>(file, 60)) {
    return fail(ErrorCode::bad_header_checksum, "the header is damaged; copy the artifact again");
  }
  if (!all_zero(part(file, 12, 4)) || !all_zero(part(file, 32, 28))) {
    return fail(ErrorCode::nonzero_unused,
                "the header has bits set in its flags or unused bytes; a newer edgeml may know them");
  }
  const auto declared = load<std::uint64_t>(file, 16);
  if (declared > static_cast<std::uint64_t>(size)) {
    return fail(ErrorCode::truncated, "the artifact should have ", declared, " bytes, the file has ", size,
                "; copy it again");
  }
  if (declared != static_cast<std::uint64_t>(size) || size > format::kArtifactBytesMax) {
    return fail(ErrorCode::bad_file_size, "the artifact should have ", declared, " bytes, the file has ", size,
                "; copy it again");
  }
  const auto count = load<std::uint32_t>(file, 24);
  const std::int64_t table_end = format::kHeaderBytes + format::kSectionRowBytes * std::int64_t{count};
  if (count < 1 || count > format::kSectionsMax || table_end > size) {
    return fail(ErrorCode::bad_section_count, "the header names ", count,
                " sections, the file has room for fewer; copy the artifact again");
  }
  if (crc32c(part(file, format::kHeaderBytes, table_end - format::kHeaderBytes)) != load<std::uint32_t>(file, 28)) {
    return fail(ErrorCode::bad_table_checksum, "the section table is damaged; copy the artifact again");
  }
  return count;
}

struct Sections {
  std::array<Bytes, format::kSectionIdMax + 1> bytes;
  std::array<bool, format::kSectionIdMax + 1> present{};
};

// Artifact section 2.
Result<Sections> read_section_table(Bytes file, std::uint32_t count) {
  Sections sections;
  const auto size = static_cast<std::int64_t>(file.size());
  std::int64_t end = format::kHeaderBytes + format::kSectionRowBytes * std::int64_t{count};
  std::uint32_t previous_id = 0;
  for (std::uint32_t i = 0; i < count; ++i) {
    const Bytes row =
        part(file, format::kHeaderBytes + format::kSectionRowBytes * std::int64_t{i}, format::kSectionRowBytes);
    const auto id = load<std::uint32_t>(row, 0);
    const auto offset = load<std::uint64_t>(row, 8);
    const auto bytes = load<std::uint64_t>(row, 16);
    if (!all_zero(part(row, 4, 4)) || !all_zero(part(row, 28, 4))) {
      return fail(ErrorCode::nonzero_unused, "row ", i, " of the section table has bits set in unused bytes");
    }
    if (id == 0 || id > format::kSectionIdMax) {
      return fail(ErrorCode::unknown_section, "section id ", id,
                  " is not known to this version; a newer edgeml may know it");
    }
    if (id <= previous_id) return fail(ErrorCode::bad_section, "section ", id, " stands after section ", previous_id);
    if (offset % format::kAlignment != 0 || offset < static_cast<std::uint64_t>(end) ||
        offset > static_cast<std::uint64_t>(size) || bytes > static_cast<std::uint64_t>(size) - offset) {
      return fail(ErrorCode::bad_section, "section ", id, " (offset ", offset, ", ", bytes,
                  " bytes) is not aligned, overlaps, or ends after byte ", size);
    }
    const std::int64_t gap = static_cast<std::int64_t>(offset) - end;
    if (gap >= format::kAlignment) return fail(ErrorCode::bad_section, "a gap of ", gap, " bytes before section ", id);
    if (!all_zero(part(file, end, gap)))
      return fail(ErrorCode::nonzero_unused, "the gap before section ", id, " is not zero");
    const Bytes content = part(file, static_cast<std::int64_t>(offset), static_cast<std::int64_t>(bytes));
    if (crc32c(content) != load<std::uint32_t>(row, 24)) {
      return fail(ErrorCode::bad_section_checksum, "section ", id, " is damaged; copy the artifact again");
    }
    sections.bytes[id] = content;
    sections.present[id] = true;
    previous_id = id;
    end = static_cast<std::int64_t>(offset + bytes);
  }
  if (end != size) return fail(ErrorCode::bad_section, size - end, " bytes follow the last section");
  return sections;
}

Status read_json(const Sections& sections, std::uint32_t id, std::string_view what, std::string& out) {
  const Bytes bytes = sections.bytes[id];
  if (static_cast<std::int64_t>(bytes.size()) > format::kJsonBytesMax) {
    return fail(ErrorCode::bad_json, "the ", what, " section has ", bytes.size(), " bytes, at most ",
                format::kJsonBytesMax, " are allowed");
  }
  if (!is_canonical_json_object(as_text(bytes))) {
    return fail(ErrorCode::bad_json, "the ", what, " section is not a JSON object with sorted keys and without spaces");
  }
  out = as_text(bytes);
  return Done{};
}

}  // namespace

Result<Model> read_artifact(Bytes file) {
  const Result<std::uint32_t> count = read_header(file);
  if (!count.ok()) return count.error();
  const Result<Sections> sections = read_section_table(file, count.value());
  if (!sections.ok()) return sections.error();
  for (const std::uint32_t id : {format::kGraphSection, format::kConstantsSection, format::kMetadataSection}) {
    if (!sections.value().present[id]) return fail(ErrorCode::missing_section, "section ", id, " is missing");
  }
  Result<Model> model =
      read_graph(sections.value().bytes[format::kGraphSection], sections.value().bytes[format::kConstantsSection]);
  if (!model.ok()) return model;
  EDGEML_RETURN_IF_ERROR(read_json(sections.value(), format::kMetadataSection, "metadata", model.value().metadata));
  if (sections.value().present[format::kTelemetrySection]) {
    EDGEML_RETURN_IF_ERROR(
        read_json(sections.value(), format::kTelemetrySection, "telemetry", model.value().telemetry));
  }
  return model;
}

}  // namespace edgeml
