// SPDX-License-Identifier: Apache-2.0
#include "support/avxvnni_stand_in.h"

#include <type_traits>

namespace edgeml::kernels {

// The rows of kernels.def whose level is avxvnni, and none of the others.
#define EDGEML_DECLARE_avxvnni(Fn, symbol) std::remove_pointer_t<Fn> symbol##_stand_in;
#define EDGEML_DECLARE_avx512vnni(Fn, symbol)
#define EDGEML_DECLARE_avx2(Fn, symbol)
#define EDGEML_DECLARE_sse41(Fn, symbol)
#define EDGEML_DECLARE_ref(Fn, symbol)
#define EDGEML_KERNEL(family, Fn, isa, mr, nr, kr, symbol) EDGEML_DECLARE_##isa(Fn, symbol)
#include "kernels/kernels.def"
#undef EDGEML_KERNEL

}  // namespace edgeml::kernels

namespace edgeml::test {

template <class Fn>
std::vector<kernels::KernelRow<Fn>> avxvnni_stand_in_rows(const CpuFeatures& features) {
  using namespace kernels;  // NOLINT: the table names symbols of this namespace
  std::vector<KernelRow<Fn>> rows;
  if (features.avxvnni || !features.avx2 || !features.avx512vl || !features.avx512vnni) return rows;
#define EDGEML_ADD_avxvnni(RowFn, mr, nr, kr, symbol) \
  if constexpr (std::is_same_v<RowFn, Fn>)            \
    rows.push_back({#symbol "_stand_in", Isa::avxvnni, mr, nr, kr, &symbol##_stand_in});
#define EDGEML_ADD_avx512vnni(RowFn, mr, nr, kr, symbol)
#define EDGEML_ADD_avx2(RowFn, mr, nr, kr, symbol)
#define EDGEML_ADD_sse41(RowFn, mr, nr, kr, symbol)
#define EDGEML_ADD_ref(RowFn, mr, nr, kr, symbol)
#define EDGEML_KERNEL(family, RowFn, isa, mr, nr, kr, symbol) EDGEML_ADD_##isa(RowFn, mr, nr, kr, symbol)
#include "kernels/kernels.def"
#undef EDGEML_KERNEL
  return rows;
}

#define EDGEML_FAMILY(Fn) \
  template std::vector<kernels::KernelRow<kernels::Fn>> avxvnni_stand_in_rows(const CpuFeatures&);
EDGEML_FAMILY(QS8GemmFn)
EDGEML_FAMILY(QS8DwconvFn)
EDGEML_FAMILY(QS8VaddFn)
EDGEML_FAMILY(QS8RescaleFn)
EDGEML_FAMILY(QS8AvgpoolFn)
EDGEML_FAMILY(X8MaxpoolFn)
EDGEML_FAMILY(X8LutFn)
EDGEML_FAMILY(F32QS8QuantizeFn)
EDGEML_FAMILY(QS8F32DequantizeFn)
EDGEML_FAMILY(QS8SoftmaxFn)
EDGEML_FAMILY(F32EdgeCountsFn)
EDGEML_FAMILY(S64RankFn)
EDGEML_FAMILY(X8HistogramFn)
EDGEML_FAMILY(QS8VmulFn)
EDGEML_FAMILY(QS8LayernormFn)
EDGEML_FAMILY(QS8SpmmFn)
#undef EDGEML_FAMILY

}  // namespace edgeml::test
