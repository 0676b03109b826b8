# SPDX-License-Identifier: Apache-2.0
# The kernels of the avxvnni level once more, for CPUs that lack AVX-VNNI but have the same dot product as an AVX-512
# instruction on 256-bit registers. For tests and benchmarks only: nothing that ships links this object library.
if(NOT TARGET avxvnni_stand_in AND EDGEML_ARCH STREQUAL x86_64)
  set(sources ${EDGEML_SOURCES})
  list(FILTER sources INCLUDE REGEX "/kernels/.*_avxvnni\\.cpp$")
  add_library(avxvnni_stand_in OBJECT ${sources} ${PROJECT_SOURCE_DIR}/tests/cpp/support/avxvnni_stand_in.cpp)
  target_include_directories(avxvnni_stand_in PRIVATE ${PROJECT_SOURCE_DIR}/cpp/src ${PROJECT_SOURCE_DIR}/tests/cpp)
  target_link_libraries(avxvnni_stand_in PRIVATE edgeml_options)
  foreach(source ${sources})
    get_filename_component(symbol ${source} NAME_WE)
    set_property(SOURCE ${source} DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} PROPERTY COMPILE_OPTIONS
      -O3 -fno-exceptions -mavx2 -mfma -mavx512f -mavx512vl -mavx512vnni -mprefer-vector-width=256 -D${symbol}=${symbol}_stand_in)
  endforeach()
endif()
