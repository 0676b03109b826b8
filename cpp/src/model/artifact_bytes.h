// SPDX-License-Identifier: Apache-2.0
// The bytes of an artifact: a private read-only mapping of a file, or an aligned copy of the caller's bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>

#include "base/aligned_buffer.h"
#include "base/result.h"

namespace edgeml {

class ArtifactBytes {
 public:
  static Result<ArtifactBytes> map(const std::string& path);
  static Result<ArtifactBytes> copy(std::span<const std::byte> bytes);

  ArtifactBytes(ArtifactBytes&& other) noexcept;
  ArtifactBytes& operator=(ArtifactBytes&&) = delete;
  ~ArtifactBytes();

  std::span<const std::byte> bytes() const noexcept { return bytes_; }

 private:
  ArtifactBytes(std::span<const std::byte> bytes, AlignedBuffer owned, bool mapped)
      : bytes_(bytes), owned_(std::move(owned)), mapped_(mapped) {}

  std::span<const std::byte> bytes_;
  AlignedBuffer owned_;
  bool mapped_;
};

}  // namespace edgeml
