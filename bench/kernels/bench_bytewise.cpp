// SPDX-License-Identifier: Apache-2.0
// The kernels that do a fixed amount of work per byte, on 16 KiB of activations; peak is a copy of as many bytes.
#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "families.h"
#include "table.h"

namespace edgeml::bench {
namespace {

using namespace edgeml::kernels;  // NOLINT: the benchmark is about this namespace

constexpr std::int32_t kPixels = 4096;  // of 4 channels
constexpr std::int32_t kBytes = kPixels * 4;
constexpr OutputRange kRange = {-128.0F, 127.0F, kActOffset};

struct Data {
  std::vector<act_t> a = std::vector<act_t>(kBytes, 50), b = std::vector<act_t>(kBytes, 60),
                     out = std::vector<act_t>(kBytes);
  std::vector<float> floats = std::vector<float>(kBytes, 0.25F);
  std::vector<float> multipliers = std::vector<float>(kPixels, 0.001F);
  std::uint8_t table[256] = {};
};

template <class Fn, class Args>
void bench_family(const char* family, const Args& args, double peak) {
  std::vector<Candidate> candidates;
  for (const auto& row : fast_rows<Fn>()) {
    candidates.push_back({row.name, kBytes, peak, [args, fn = row.fn] { fn(args); }});
  }
  std::map<std::string, double> totals;
  print_shape(family, "byte", candidates, totals);
}

}  // namespace

void bench_bytewise() {
  Data d;
  const double peak = peak_copy_bytes_per_cycle(kBytes);
  bench_family<QS8VaddFn>(
      "qs8_vadd", QS8VaddArgs{d.a.data(), d.b.data(), d.out.data(), kBytes, 128, 120, 0.5F, 0.7F, kRange}, peak);
  bench_family<QS8RescaleFn>("qs8_rescale", QS8RescaleArgs{d.a.data(), d.out.data(), kBytes, 128, 0.5F, kRange}, peak);
  bench_family<X8LutFn>("x8_lut",
                        X8LutArgs{reinterpret_cast<const std::uint8_t*>(d.a.data()),
                                  reinterpret_cast<std::uint8_t*>(d.out.data()), kBytes, d.table},
                        peak);
  bench_family<F32QS8QuantizeFn>(
      "f32_qs8_quantize", F32QS8QuantizeArgs{d.floats.data(), 4, kPixels, 0.1F, d.out.data(), kBytes, kRange}, peak);
  bench_family<QS8F32DequantizeFn>(
      "qs8_f32_dequantize", QS8F32DequantizeArgs{d.a.data(), kBytes, 4, kPixels, 128, 0.1F, d.floats.data()}, peak);
  bench_family<QS8AvgpoolFn>("qs8_avgpool 64x64 whole",
                             QS8AvgpoolArgs{.in = d.a.data(),
                                            .in_h = 64,
                                            .in_w = 64,
                                            .kernel_h = 64,
                                            .kernel_w = 64,
                                            .stride_h = 1,
                                            .stride_w = 1,
                                            .pad_top = 0,
                                            .pad_left = 0,
                                            .out_h = 1,
                                            .out_w = 1,
                                            .zero_point = 128,
                                            .multiplier = d.multipliers.data(),
                                            .out = d.out.data(),
                                            .range = kRange},
                             peak);
  bench_family<X8MaxpoolFn>("x8_maxpool 2x2 s2",
                            X8MaxpoolArgs{.in = d.a.data(),
                                          .in_h = 64,
                                          .in_w = 64,
                                          .kernel_h = 2,
                                          .kernel_w = 2,
                                          .stride_h = 2,
                                          .stride_w = 2,
                                          .dilation_h = 1,
                                          .dilation_w = 1,
                                          .pad_top = 0,
                                          .pad_left = 0,
                                          .out_h = 32,
                                          .out_w = 32,
                                          .out = d.out.data()},
                            peak);
}

}  // namespace edgeml::bench
