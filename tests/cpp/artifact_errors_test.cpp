// SPDX-License-Identifier: Apache-2.0
// Hostile artifacts: the golden file of each error code, every truncation, every flipped byte, damage under right
// checksums.
#include <doctest/doctest.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <random>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/crc32c.h"
#include "edgeml/inference_session.h"

namespace edgeml {
namespace {

using Bytes = std::vector<std::byte>;

const std::filesystem::path kGolden = EDGEML_GOLDEN_DIR;

Bytes read_file(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  const std::string content{std::istreambuf_iterator<char>(file), {}};
  const auto bytes = std::as_bytes(std::span(content));
  return {bytes.begin(), bytes.end()};
}

template <class T>
T field(const Bytes& bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

void set_crc(Bytes& bytes, std::size_t at, std::size_t begin, std::size_t size) {
  const std::uint32_t crc = crc32c(std::span(bytes).subspan(begin, size));
  std::memcpy(bytes.data() + at, &crc, sizeof(crc));
}

// Makes every checksum of an artifact of three sections right again.
void seal(Bytes& bytes) {
  for (std::size_t row = 64; row < 64 + 3 * 32; row += 32) {
    set_crc(bytes, row + 24, field<std::uint64_t>(bytes, row + 8), field<std::uint64_t>(bytes, row + 16));
  }
  set_crc(bytes, 28, 64, 3 * 32);
  set_crc(bytes, 60, 0, 60);
}

// Opens, and runs what opens if that is little work.
bool opens(const Bytes& bytes, const SessionOptions& options = {}) {
  Result<InferenceSession> result = InferenceSession::open(bytes, options);
  if (!result.ok()) {
    CHECK(result.error().message.starts_with(error_name(result.error().code)));
    return false;
  }
  InferenceSession& session = result.value();
  if (session.macs_per_sample() > 10'000'000) return true;
  const auto is_large = [](const TensorInfo& info) { return info.dims.elements() > 1'000'000; };
  if (std::any_of(session.inputs().begin(), session.inputs().end(), is_large)) return true;
  if (std::any_of(session.outputs().begin(), session.outputs().end(), is_large)) return true;
  std::vector<std::vector<float>> arrays;  // floats are as aligned as any element
  std::vector<const void*> in;
  std::vector<void*> out;
  const auto array = [&](const TensorInfo& info) {
    // Up to 8 bytes an element.
    return arrays.emplace_back(static_cast<std::size_t>(2 * session.batch() * info.dims.elements()), 0.5F).data();
  };
  for (const TensorInfo& info : session.inputs()) in.push_back(array(info));
  for (const TensorInfo& info : session.outputs()) out.push_back(array(info));
  (void)session.execute(in, out);  // damaged indices are an error of the run
  return true;
}

TEST_CASE("each golden file fails with the code that its name begins with") {
  std::set<std::string_view> seen;
  for (const auto& entry : std::filesystem::directory_iterator(kGolden / "artifact_errors")) {
    const std::string stem = entry.path().stem().string();
    CAPTURE(stem);
    const Result<InferenceSession> result = InferenceSession::open(entry.path().string(), {});
    REQUIRE_FALSE(result.ok());
    CAPTURE(result.error().message);
    CHECK(stem.starts_with(std::string(error_name(result.error().code)) + "_"));
    seen.insert(error_name(result.error().code));
  }
#define EDGEML_ERROR(number, name, raised_as, golden) \
  if (std::string_view(golden).empty()) {             \
    INFO("no golden file for ", #name);               \
    CHECK(seen.contains(#name));                      \
  }
#include "edgeml/error_codes.def"
#undef EDGEML_ERROR
}

TEST_CASE("a sound artifact opens; none of its truncations does") {
  const Bytes sound = read_file(kGolden / "every_operator.edgeml");
  REQUIRE(opens(sound));
  for (std::size_t size = 0; size < sound.size(); ++size) {
    CAPTURE(size);
    CHECK_FALSE(opens(Bytes(sound.begin(), sound.begin() + static_cast<std::ptrdiff_t>(size))));
  }
}

TEST_CASE("no artifact with one flipped byte opens") {
  Bytes damaged = read_file(kGolden / "every_operator.edgeml");
  for (std::size_t at = 0; at < damaged.size(); ++at) {
    CAPTURE(at);
    damaged[at] ^= std::byte{0xff};
    CHECK_FALSE(opens(damaged));
    damaged[at] ^= std::byte{0xff};
  }
}

void check_damage(const std::string& name) {
  const Bytes sound = read_file(kGolden / name);
  REQUIRE(opens(sound));
  const auto graph = static_cast<std::size_t>(field<std::uint64_t>(sound, 64 + 8));
  const auto graph_size = static_cast<std::size_t>(field<std::uint64_t>(sound, 64 + 16));
  std::mt19937 random(20);
  const auto below = [&random](std::size_t n) { return std::uniform_int_distribution<std::size_t>(0, n - 1)(random); };
  int refused = 0;
  int ran = 0;
  for (int i = 0; i < 4000; ++i) {
    Bytes damaged = sound;
    for (std::size_t changes = 1 + below(3); changes > 0; --changes) {
      // Mostly the graph: a constant's bytes are seldom wrong.
      const std::size_t at = below(4) == 0 ? 64 + below(sound.size() - 64) : graph + below(graph_size);
      constexpr std::byte kValues[] = {std::byte{0},    std::byte{1},    std::byte{2},
                                       std::byte{0x7f}, std::byte{0x80}, std::byte{0xff}};
      damaged[at] = below(2) == 0 ? kValues[below(std::size(kValues))] : damaged[at] ^ std::byte(1U << below(8));
    }
    // A damaged table may point anywhere; seal() needs the true one.
    std::memcpy(damaged.data() + 64, sound.data() + 64, 3 * 32);
    seal(damaged);
    ++(opens(damaged, {.isa = {}, .arena_bytes_max = 1 << 24}) ? ran : refused);
  }
  CHECK(refused > 1000);
  CHECK(ran > 100);
}

TEST_CASE("damage under right checksums is an error or an artifact that runs") {
  check_damage("every_operator.edgeml");
  check_damage("every_plain_operator.edgeml");
  check_damage("sparse_layers.edgeml");
}

}  // namespace
}  // namespace edgeml
