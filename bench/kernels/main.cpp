// SPDX-License-Identifier: Apache-2.0
// bench_kernels [gemm|spmm|dwconv|bytewise]: median work per core cycle of every row of kernels.def that this machine
// runs, and its share of a peak measured in the same run. Rows take turns on each shape. Pinned, one thread, data warm.
#include <cstdio>
#include <string_view>

#include "families.h"
#include "timing.h"

int main(int argc, char** argv) {
  const std::string_view only = argc > 1 ? argv[1] : "";
  edgeml::bench::pin_to_current_cpu();
  bool known = only.empty();
  const auto wanted = [&](std::string_view family) {
    known = known || only == family;
    return only.empty() || only == family;
  };
  if (wanted("gemm")) edgeml::bench::bench_qs8_gemm();
  if (wanted("spmm")) edgeml::bench::bench_qs8_spmm();
  if (wanted("dwconv")) edgeml::bench::bench_qs8_dwconv();
  if (wanted("bytewise")) edgeml::bench::bench_bytewise();
  if (!known) {
    std::fprintf(stderr, "usage: bench_kernels [gemm|spmm|dwconv|bytewise]\n");
    return 2;
  }
  return 0;
}
