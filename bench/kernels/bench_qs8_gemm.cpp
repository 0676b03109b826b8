// SPDX-License-Identifier: Apache-2.0
// qs8_gemm on the layers of MobileNetV2-224: pointwise convolutions, the first convolution and the classifier.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "families.h"
#include "kernels/pack_weights.h"
#include "table.h"

namespace edgeml::bench {
namespace {

using namespace edgeml::kernels;  // NOLINT: the benchmark is about this namespace

struct Shape {
  const char* name;
  std::int32_t times;  // how often the model has it
  std::int32_t pixels, depth, channels;
  std::int32_t taps = 1, stride = 1, out_w = 0;
};

constexpr Shape kShapes[] = {
    {"first 3x3 s2", 1, 12544, 4, 32, 9, 2, 112},
    {"pointwise", 1, 12544, 32, 16},
    {"pointwise", 1, 12544, 16, 96},
    {"pointwise", 1, 3136, 96, 24},
    {"pointwise", 2, 3136, 24, 144},
    {"pointwise", 1, 3136, 144, 24},
    {"pointwise", 1, 784, 144, 32},
    {"pointwise", 3, 784, 32, 192},
    {"pointwise", 2, 784, 192, 32},
    {"pointwise", 1, 196, 192, 64},
    {"pointwise", 4, 196, 64, 384},
    {"pointwise", 3, 196, 384, 64},
    {"pointwise", 1, 196, 384, 96},
    {"pointwise", 3, 196, 96, 576},
    {"pointwise", 2, 196, 576, 96},
    {"pointwise", 1, 49, 576, 160},
    {"pointwise", 3, 49, 160, 960},
    {"pointwise", 2, 49, 960, 160},
    {"pointwise", 1, 49, 960, 320},
    {"pointwise", 1, 49, 320, 1280},
    {"classifier", 1, 1, 1280, 1001},
};

// Operands of one shape, packed for one row.
struct Problem {
  std::vector<act_t> in, out;
  std::vector<std::int8_t> packed;
  std::vector<std::int32_t> group_offset, bias;
  std::vector<float> multiplier;
  std::vector<std::uint64_t> workspace;
  QS8GemmArgs args;
};

std::shared_ptr<Problem> make_problem(const Shape& s, std::int32_t nr, std::int32_t mr, std::int32_t kr) {
  auto p = std::make_shared<Problem>();
  const std::int32_t out_w = s.out_w > 0 ? s.out_w : s.pixels;
  const std::int32_t out_h = s.pixels / out_w;
  const std::int32_t side = s.taps == 9 ? 3 : 1;
  const std::int32_t row_words = (out_w - 1) * s.stride + side;
  const std::int32_t plane_words = ((out_h - 1) * s.stride + side) * row_words;
  const std::int32_t c_groups = (s.depth + 3) / 4;
  const std::int32_t k_groups = c_groups * s.taps;
  p->in.resize(static_cast<std::size_t>(plane_words) * c_groups * 4, 77);
  for (std::int32_t tap = 0; tap < s.taps; ++tap) {
    for (std::int32_t g = 0; g < c_groups; ++g) {
      p->group_offset.push_back((g * plane_words + tap / side * row_words + tap % side) * 4);
    }
  }
  const std::vector<std::int8_t> weights(static_cast<std::size_t>(s.channels) * s.taps * s.depth, 3);
  p->packed.resize(static_cast<std::size_t>(qs8_gemm_packed_bytes(s.channels, k_groups, nr, kr)));
  qs8_gemm_pack(weights.data(), s.channels, s.taps, s.depth, nr, kr, p->packed.data());
  const std::int32_t panels = (s.channels + nr - 1) / nr;
  p->bias.resize(static_cast<std::size_t>(panels) * nr);
  p->multiplier.resize(p->bias.size(), 0.001F);
  p->out.resize(static_cast<std::size_t>((s.channels + 3) / 4) * s.pixels * 4);
  p->workspace.resize(static_cast<std::size_t>(qs8_gemm_workspace_bytes(mr, nr, kr, k_groups) / 8 + 1));
  p->args = {.in = p->in.data(),
             .group_offset = p->group_offset.data(),
             .k_groups = k_groups,
             .out_w = out_w,
             .in_row_step = row_words * s.stride * 4,
             .in_col_step = s.stride * 4,
             .weights = p->packed.data(),
             .bias = p->bias.data(),
             .multiplier = p->multiplier.data(),
             .channels = s.channels,
             .out = p->out.data(),
             .out_plane_step = s.pixels * std::int64_t{4},
             .out_pixel_step = 4,
             .range = {-128.0F, 127.0F, kActOffset},
             .pixel_begin = 0,
             .pixel_end = s.pixels,
             .panel_begin = 0,
             .panel_end = panels,
             .workspace = p->workspace.data()};
  return p;
}

}  // namespace

void bench_qs8_gemm() {
  std::map<std::string, double> totals;
  std::map<Isa, double> peaks;
  for (const auto& row : fast_rows<QS8GemmFn>()) peaks[row.isa] = peak_macs_per_cycle(row.isa);
  for (const Shape& s : kShapes) {
    std::vector<Candidate> candidates;
    for (const auto& row : fast_rows<QS8GemmFn>()) {
      const auto problem = make_problem(s, row.nr, row.mr, row.kr);
      const double macs = static_cast<double>(s.pixels) * s.depth * s.taps * s.channels;
      candidates.push_back({row.name, macs, peaks[row.isa], [problem, fn = row.fn] { fn(problem->args); }});
    }
    const std::string name = std::string(s.name) + " P=" + std::to_string(s.pixels) +
                             " K=" + std::to_string(s.depth * s.taps) + " N=" + std::to_string(s.channels);
    std::map<std::string, double> once;
    print_shape(name, "MAC", candidates, once);
    for (const auto& [row, cycles] : once) totals[row] += s.times * cycles;
  }
  print_totals(totals);
}

}  // namespace edgeml::bench
