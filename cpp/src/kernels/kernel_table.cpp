// SPDX-License-Identifier: Apache-2.0
#include "kernels/kernel_table.h"

#include <type_traits>
#include <vector>

namespace edgeml::kernels {

#define EDGEML_KERNEL(family, Fn, isa, mr, nr, kr, symbol) std::remove_pointer_t<Fn> symbol;
#include "kernels/kernels.def"
#undef EDGEML_KERNEL

// The rows of kernels.def whose Fn is the wanted type, kept in order.
template <class Fn>
std::span<const KernelRow<Fn>> KernelRows<Fn>::rows() noexcept {
  static const std::vector<KernelRow<Fn>> kRows = [] {
    std::vector<KernelRow<Fn>> rows;
#define EDGEML_KERNEL(family, RowFn, level, mr, nr, kr, symbol) \
  if constexpr (std::is_same_v<RowFn, Fn>) rows.push_back({#symbol, Isa::level, mr, nr, kr, &symbol});
#include "kernels/kernels.def"
#undef EDGEML_KERNEL
    return rows;
  }();
  return kRows;
}

template struct KernelRows<QS8GemmFn>;
template struct KernelRows<QS8DwconvFn>;
template struct KernelRows<QS8VaddFn>;
template struct KernelRows<QS8RescaleFn>;
template struct KernelRows<QS8AvgpoolFn>;
template struct KernelRows<X8MaxpoolFn>;
template struct KernelRows<X8LutFn>;
template struct KernelRows<F32QS8QuantizeFn>;
template struct KernelRows<QS8F32DequantizeFn>;
template struct KernelRows<QS8SoftmaxFn>;
template struct KernelRows<F32EdgeCountsFn>;
template struct KernelRows<S64RankFn>;
template struct KernelRows<X8HistogramFn>;
template struct KernelRows<QS8VmulFn>;
template struct KernelRows<QS8LayernormFn>;
template struct KernelRows<QS8SpmmFn>;

KernelTable choose_kernels(const CpuFeatures& features, Isa best) {
  std::vector<Isa> isas;
  for (const Isa isa : isas_of(features)) {
    if (static_cast<int>(isa) >= static_cast<int>(best)) isas.push_back(isa);
  }
  return {
      choose_row<QS8GemmFn>(isas),     choose_row<QS8DwconvFn>(isas),      choose_row<QS8VaddFn>(isas),
      choose_row<QS8RescaleFn>(isas),  choose_row<QS8AvgpoolFn>(isas),     choose_row<X8MaxpoolFn>(isas),
      choose_row<X8LutFn>(isas),       choose_row<F32QS8QuantizeFn>(isas), choose_row<QS8F32DequantizeFn>(isas),
      choose_row<QS8SoftmaxFn>(isas),  choose_row<F32EdgeCountsFn>(isas),  choose_row<S64RankFn>(isas),
      choose_row<X8HistogramFn>(isas), choose_row<QS8VmulFn>(isas),        choose_row<QS8LayernormFn>(isas),
      choose_row<QS8SpmmFn>(isas),
  };
}

const KernelTable& machine_kernels() noexcept {
  static const KernelTable kTable = [] {
    const CpuFeatures features = detect_cpu_features();
    return choose_kernels(features, isas_of(features).front());
  }();
  return kTable;
}

}  // namespace edgeml::kernels
