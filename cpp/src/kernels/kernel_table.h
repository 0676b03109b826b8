// SPDX-License-Identifier: Apache-2.0
// Rows of kernels.def as values, and the choice for one ISA level.
#pragma once

#include <cstdint>
#include <span>

#include "cpu/cpu_features.h"
#include "kernels/f32_edge_counts/f32_edge_counts.h"
#include "kernels/f32_qs8_quantize/f32_qs8_quantize.h"
#include "kernels/qs8_avgpool/qs8_avgpool.h"
#include "kernels/qs8_dwconv/qs8_dwconv.h"
#include "kernels/qs8_f32_dequantize/qs8_f32_dequantize.h"
#include "kernels/qs8_gemm/qs8_gemm.h"
#include "kernels/qs8_layernorm/qs8_layernorm.h"
#include "kernels/qs8_rescale/qs8_rescale.h"
#include "kernels/qs8_softmax/qs8_softmax.h"
#include "kernels/qs8_spmm/qs8_spmm.h"
#include "kernels/qs8_vadd/qs8_vadd.h"
#include "kernels/qs8_vmul/qs8_vmul.h"
#include "kernels/s64_rank/s64_rank.h"
#include "kernels/x8_histogram/x8_histogram.h"
#include "kernels/x8_lut/x8_lut.h"
#include "kernels/x8_maxpool/x8_maxpool.h"

namespace edgeml::kernels {

template <class Fn>
struct KernelRow {
  const char* name;  // symbol, file stem, test case, benchmark
  Isa isa;
  std::int32_t mr, nr, kr;  // tile: output pixels, channels, depth grouping; 0 where the family has none
  Fn fn;
};

// The rows of one family, in the table's order, those of this architecture only: KernelRows<QS8GemmFn>::rows().
template <class Fn>
struct KernelRows {
  static std::span<const KernelRow<Fn>> rows() noexcept;
};

// The first row of the family that a machine of this level may run. A level may run its own rows and those of the
// less preferred levels of isa.def that isas lists.
template <class Fn>
const KernelRow<Fn>& choose_row(std::span<const Isa> isas) noexcept {
  const auto rows = KernelRows<Fn>::rows();
  for (const auto& row : rows) {
    for (const Isa isa : isas) {
      if (row.isa == isa) return row;
    }
  }
  return rows.back();  // ref
}

// One chosen row per family.
struct KernelTable {
  KernelRow<QS8GemmFn> qs8_gemm;
  KernelRow<QS8DwconvFn> qs8_dwconv;
  KernelRow<QS8VaddFn> qs8_vadd;
  KernelRow<QS8RescaleFn> qs8_rescale;
  KernelRow<QS8AvgpoolFn> qs8_avgpool;
  KernelRow<X8MaxpoolFn> x8_maxpool;
  KernelRow<X8LutFn> x8_lut;
  KernelRow<F32QS8QuantizeFn> f32_qs8_quantize;
  KernelRow<QS8F32DequantizeFn> qs8_f32_dequantize;
  KernelRow<QS8SoftmaxFn> qs8_softmax;
  KernelRow<F32EdgeCountsFn> f32_edge_counts;
  KernelRow<S64RankFn> s64_rank;
  KernelRow<X8HistogramFn> x8_histogram;
  KernelRow<QS8VmulFn> qs8_vmul;
  KernelRow<QS8LayernormFn> qs8_layernorm;
  KernelRow<QS8SpmmFn> qs8_spmm;
};

// The table for a machine with these features when `best` is the most preferred level allowed.
KernelTable choose_kernels(const CpuFeatures& features, Isa best);

// The best rows of this machine, chosen once: for what counts and draws noise, which belongs to no session.
const KernelTable& machine_kernels() noexcept;

}  // namespace edgeml::kernels
