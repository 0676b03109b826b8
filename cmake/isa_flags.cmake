# SPDX-License-Identifier: Apache-2.0
# ISA name -> compiler flags. A kernel file NAME_<isa>.cpp is compiled with the flags of its suffix and with nothing else.
# Kernels neither throw nor need unwinding through a personality routine, whose reference would be a weak symbol.
# Every kernel: no contraction into fma, no reassociation (docs/design/numerics.md, section 2).
set(EDGEML_ISA_FLAGS_ref -O3 -fno-exceptions)
set(EDGEML_ISA_FLAGS_sse41 -O3 -fno-exceptions -msse4.1)
set(EDGEML_ISA_FLAGS_avx2 -O3 -fno-exceptions -mavx2 -mfma)
set(EDGEML_ISA_FLAGS_avxvnni -O3 -fno-exceptions -mavx2 -mfma -mavxvnni)
set(EDGEML_ISA_FLAGS_avx512vnni -O3 -fno-exceptions -mavx2 -mfma -mavx512f -mavx512bw -mavx512vl -mavx512dq -mavx512vbmi -mavx512vnni -mprefer-vector-width=512
  -Wno-uninitialized)  # GCC 12 takes its own AVX-512 intrinsics for reads of uninitialised registers (GCC bug 105593)
set(EDGEML_ISA_FLAGS_neon -O3 -fno-exceptions -march=armv8-a)
set(EDGEML_ISA_FLAGS_neondot -O3 -fno-exceptions -march=armv8.2-a+dotprod)
set(EDGEML_ISA_FLAGS_neoni8mm -O3 -fno-exceptions -march=armv8.2-a+dotprod+i8mm)
set(EDGEML_ISAS_x86_64 sse41 avx2 avxvnni avx512vnni)
set(EDGEML_ISAS_aarch64 neon neondot neoni8mm)
