// SPDX-License-Identifier: Apache-2.0
// Sizes, offsets and limits of docs/design/artifact-format.md.
#pragma once

#include <array>
#include <cstdint>

namespace edgeml::format {

inline constexpr std::array<std::uint8_t, 8> kMagic = {0x45, 0x44, 0x47, 0x45, 0x4d, 0x4c, 0x0d, 0x0a};
inline constexpr std::uint32_t kVersion = 1;
inline constexpr std::int64_t kHeaderBytes = 64;
inline constexpr std::int64_t kSectionRowBytes = 32;
inline constexpr std::int64_t kGraphHeaderBytes = 32;
inline constexpr std::int64_t kTensorRecordBytes = 80;
inline constexpr std::int64_t kNodeRecordBytes = 16;
inline constexpr std::int64_t kAlignment = 64;

inline constexpr std::uint32_t kGraphSection = 1;
inline constexpr std::uint32_t kConstantsSection = 2;
inline constexpr std::uint32_t kMetadataSection = 3;
inline constexpr std::uint32_t kTelemetrySection = 4;
inline constexpr std::uint32_t kSectionIdMax = 4;

inline constexpr std::int64_t kArtifactBytesMax = (std::int64_t{1} << 31) - 1;
inline constexpr std::uint32_t kSectionsMax = 4096;
inline constexpr std::int64_t kJsonBytesMax = std::int64_t{16} << 20;
inline constexpr std::uint32_t kTensorsMax = 65535;
inline constexpr std::uint32_t kNodesMax = 65535;
inline constexpr std::uint32_t kGraphPortsMax = 64;
inline constexpr std::uint32_t kNameBytesMax = 1024;
inline constexpr std::int64_t kDimMax = (std::int64_t{1} << 31) - 1;
inline constexpr std::int64_t kSampleElementsMax = (std::int64_t{1} << 31) - 1;

}  // namespace edgeml::format
