// SPDX-License-Identifier: Apache-2.0
// qs8_dwconv on the depthwise layers of MobileNetV2-224, one plane of 4 channels, padding included.
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "families.h"
#include "kernels/qs8_dwconv/qs8_dwconv_pack.h"
#include "kernels/qs8_dwconv/qs8_dwconv_padded.h"
#include "table.h"

namespace edgeml::bench {
namespace {

using namespace edgeml::kernels;  // NOLINT: the benchmark is about this namespace

struct Shape {
  std::int32_t planes;  // in the whole model
  std::int32_t out, kernel, stride;
};

constexpr Shape kShapes[] = {
    {8, 112, 3, 1},  {24, 56, 3, 2}, {36, 56, 3, 1}, {36, 28, 3, 2}, {96, 28, 3, 1}, {48, 14, 3, 2},
    {528, 14, 3, 1}, {144, 7, 3, 2}, {720, 7, 3, 1}, {0, 28, 5, 1},  {0, 14, 5, 2},
};

struct Problem {
  std::vector<act_t> in, out, scratch;
  std::vector<std::int8_t> packed;
  std::int32_t bias[4] = {};
  float multiplier[4] = {0.01F, 0.01F, 0.01F, 0.01F};
  QS8DwconvArgs args;
};

std::shared_ptr<Problem> make_problem(const Shape& s, std::int32_t kr) {
  auto p = std::make_shared<Problem>();
  const std::int32_t side = s.out * s.stride;
  p->in.resize(static_cast<std::size_t>(side) * side * 4, 77);
  const std::int32_t reach = window_reach(s.out, s.stride, s.kernel, 1);
  p->scratch.resize(static_cast<std::size_t>(qs8_dwconv_scratch_bytes(reach, reach)));
  const std::vector<std::int8_t> taps(static_cast<std::size_t>(s.kernel) * s.kernel * 4, 3);
  p->packed.resize(static_cast<std::size_t>(qs8_dwconv_packed_bytes(s.kernel, s.kernel, kr)));
  qs8_dwconv_pack(taps.data(), s.kernel, s.kernel, kr, p->packed.data());
  p->out.resize(static_cast<std::size_t>(s.out) * s.out * 4);
  p->args = {.planes = 1,
             .in = p->in.data(),
             .in_plane_step = std::int64_t{side} * side * 4,
             .in_h = side,
             .in_w = side,
             .pad_top = s.stride == 1 ? s.kernel / 2 : s.kernel / 2 - 1,
             .pad_left = s.stride == 1 ? s.kernel / 2 : s.kernel / 2 - 1,
             .zero_point_in = 77,
             .out_h = s.out,
             .out_w = s.out,
             .kernel_h = s.kernel,
             .kernel_w = s.kernel,
             .stride_h = s.stride,
             .stride_w = s.stride,
             .dilation_h = 1,
             .dilation_w = 1,
             .weights = p->packed.data(),
             .bias = p->bias,
             .multiplier = p->multiplier,
             .out = p->out.data(),
             .out_plane_step = std::int64_t{s.out} * s.out * 4,
             .range = {-128.0F, 127.0F, kActOffset},
             .scratch = p->scratch.data()};
  return p;
}

}  // namespace

void bench_qs8_dwconv() {
  std::map<std::string, double> totals;
  std::map<Isa, double> peaks;
  for (const auto& row : fast_rows<QS8DwconvFn>()) peaks[row.isa] = peak_macs_per_cycle(row.isa);
  for (const Shape& s : kShapes) {
    std::vector<Candidate> candidates;
    for (const auto& row : fast_rows<QS8DwconvFn>()) {
      const auto problem = make_problem(s, row.kr);
      const double macs = 4.0 * s.out * s.out * s.kernel * s.kernel;
      candidates.push_back({row.name, macs, peaks[row.isa], [problem, fn = row.fn] { fn(problem->args); }});
    }
    const std::string size = std::to_string(s.kernel);
    const std::string name = "depthwise " + size + "x" + size + " s" + std::to_string(s.stride) + " out " +
                             std::to_string(s.out) + "x" + std::to_string(s.out);
    std::map<std::string, double> once;
    print_shape(name, "MAC", candidates, once);
    for (const auto& [row, cycles] : once) totals[row] += s.planes * cycles;
  }
  print_totals(totals);
}

}  // namespace edgeml::bench
