// SPDX-License-Identifier: Apache-2.0
#include "model/artifact_bytes.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "model/format.h"

namespace edgeml {
namespace {

struct FileDescriptor {
  int fd;
  ~FileDescriptor() {
    if (fd >= 0) close(fd);
  }
};

}  // namespace

Result<ArtifactBytes> ArtifactBytes::map(const std::string& path) {
  const FileDescriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return fail(ErrorCode::file_unreadable, "cannot open ", path, ": ", std::strerror(errno));
  struct stat status{};
  if (fstat(file.fd, &status) != 0) return fail(ErrorCode::file_unreadable, path, ": ", std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return fail(ErrorCode::file_unreadable, path, " is not a regular file");
  if (status.st_size == 0) return fail(ErrorCode::truncated, path, " is empty; copy the artifact again");
  if (status.st_size > format::kArtifactBytesMax) {
    return fail(ErrorCode::bad_file_size, path, " has ", status.st_size, " bytes, an artifact at most ",
                format::kArtifactBytesMax);
  }
  const auto size = static_cast<std::size_t>(status.st_size);
  void* mapping = mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_POPULATE, file.fd, 0);
  if (mapping == MAP_FAILED) return fail(ErrorCode::file_unreadable, "cannot map ", path, ": ", std::strerror(errno));
  return ArtifactBytes({static_cast<const std::byte*>(mapping), size}, {}, true);
}

Result<ArtifactBytes> ArtifactBytes::copy(std::span<const std::byte> bytes) {
  if (std::cmp_greater(bytes.size(), format::kArtifactBytesMax)) {
    return fail(ErrorCode::bad_file_size, "the artifact has ", bytes.size(), " bytes, at most ",
                format::kArtifactBytesMax, " are allowed");
  }
  AlignedBuffer owned = AlignedBuffer::allocate(static_cast<std::int64_t>(bytes.size()));
  if (owned.empty()) return fail(ErrorCode::out_of_memory, "no memory for an artifact of ", bytes.size(), " bytes");
  if (!bytes.empty()) std::memcpy(owned.data(), bytes.data(), bytes.size());
  const std::span<const std::byte> view(owned.data(), bytes.size());
  return ArtifactBytes(view, std::move(owned), false);
}

ArtifactBytes::ArtifactBytes(ArtifactBytes&& other) noexcept
    : bytes_(std::exchange(other.bytes_, {})),
      owned_(std::move(other.owned_)),
      mapped_(std::exchange(other.mapped_, false)) {}

ArtifactBytes::~ArtifactBytes() {
  if (mapped_) munmap(const_cast<std::byte*>(bytes_.data()), bytes_.size());
}

}  // namespace edgeml
