// SPDX-License-Identifier: Apache-2.0
// EDGEML_ASSERT: an invariant of the core itself. It is never about bytes or arrays from outside: those get an Error.
#pragma once

#include <cstdio>
#include <cstdlib>

#define EDGEML_ASSERT(condition)                                                                     \
  do {                                                                                               \
    if (!(condition)) {                                                                              \
      std::fprintf(stderr, "edgeml: %s:%d: invariant broken: %s\n", __FILE__, __LINE__, #condition); \
      std::abort();                                                                                  \
    }                                                                                                \
  } while (false)
