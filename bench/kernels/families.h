// SPDX-License-Identifier: Apache-2.0
// One function per kernel family: the rows that this machine runs on the shapes that matter, as one table on stdout.
#pragma once

namespace edgeml::bench {

void bench_qs8_gemm();
void bench_qs8_spmm();
void bench_qs8_dwconv();
void bench_bytewise();

}  // namespace edgeml::bench
