// SPDX-License-Identifier: Apache-2.0
// A child knows that it is one; its parent does not change.
#include "runtime/fork_count.h"

#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

namespace edgeml {
namespace {

TEST_CASE("the count differs in a child, and again in its child") {
  const std::uint32_t mine = fork_count();
  const pid_t child = fork();
  REQUIRE(child >= 0);
  if (child == 0) {
    const std::uint32_t childs = fork_count();
    const pid_t grandchild = fork();
    if (grandchild == 0) _exit(fork_count() == childs || fork_count() == mine ? 1 : 0);
    int status = 0;
    waitpid(grandchild, &status, 0);
    _exit(childs != mine && fork_count() == childs && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1);
  }
  int status = 0;
  CHECK(waitpid(child, &status, 0) == child);
  CHECK((WIFEXITED(status) && WEXITSTATUS(status) == 0));
  CHECK(fork_count() == mine);
}

}  // namespace
}  // namespace edgeml
