// SPDX-License-Identifier: Apache-2.0
// Preloaded into a process, counts what it writes to regular files, and kills it or fails at a chosen call.
//
// A call is one write, pwrite, fsync, fdatasync, ftruncate, rename or unlink. `blocks` are blocks of 4 KiB that were dirty at
// an fsync of their file, which is what a flash has to take in; bytes are what the calls said.
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { kBlockBytes = 4096, kDescriptors = 64, kBlocks = 1 << 14 };

static atomic_long calls;
static atomic_long kill_at = -1;  // the call before which the process dies; -1: never
static atomic_int torn;           // half of that call's bytes are written first
static atomic_long fail_from = -1;
static atomic_int fail_errno;
static atomic_llong bytes_written;
static atomic_llong blocks_written;
static unsigned char dirty[kDescriptors][kBlocks];

void write_faults_arm(long at, int is_torn) {
  calls = 0;
  torn = is_torn;
  kill_at = at;
}

void write_faults_fail(long from, int error) {
  calls = 0;
  fail_errno = error;
  fail_from = from;
}

long write_faults_calls(void) { return calls; }
long long write_faults_bytes(void) { return bytes_written; }
long long write_faults_blocks(void) { return blocks_written; }

static int is_regular(int fd) {
  struct stat status;
  int before = errno;
  int is = fstat(fd, &status) == 0 && S_ISREG(status.st_mode);
  errno = before;
  return is;
}

static void die(void) {
  kill(getpid(), SIGKILL);
  for (;;) pause();
}

// Whether this call is the one to die at; -1: it must fail.
static int count(void) {
  long number = ++calls;
  if (number == kill_at) return 1;
  if (fail_from >= 0 && number >= fail_from) {
    errno = fail_errno;
    return -1;
  }
  return 0;
}

static void note(int fd, size_t size, off_t offset) {
  bytes_written += (long long)size;
  if (fd >= kDescriptors || size == 0) return;
  for (off_t block = offset / kBlockBytes; block <= (offset + (off_t)size - 1) / kBlockBytes; ++block) {
    if (block < kBlocks) dirty[fd][block] = 1;
  }
}

static void flush(int fd) {
  if (fd >= kDescriptors) return;
  for (int block = 0; block < kBlocks; ++block) blocks_written += dirty[fd][block];
  memset(dirty[fd], 0, kBlocks);
}

#define REAL(name) ((__typeof__(&name))dlsym(RTLD_NEXT, #name))

ssize_t write(int fd, const void* data, size_t size) {
  if (!is_regular(fd)) return REAL(write)(fd, data, size);
  int what = count();
  if (what < 0) return -1;
  if (what > 0) {
    if (torn) REAL(write)(fd, data, size / 2);
    die();
  }
  note(fd, size, lseek(fd, 0, SEEK_CUR));
  return REAL(write)(fd, data, size);
}

#define POSITIONED(name, offset_type)                                   \
  ssize_t name(int fd, const void* data, size_t size, offset_type at) { \
    int what = is_regular(fd) ? count() : 0;                            \
    if (what < 0) return -1;                                            \
    if (what > 0) {                                                     \
      if (torn) REAL(name)(fd, data, size / 2, at);                     \
      die();                                                            \
    }                                                                   \
    note(fd, size, (off_t)at);                                          \
    return REAL(name)(fd, data, size, at);                              \
  }
POSITIONED(pwrite, off_t)
POSITIONED(pwrite64, off64_t)

#define WITHOUT_DATA(name, parameters, arguments, is_counted, after) \
  int name parameters {                                              \
    int what = (is_counted) ? count() : 0;                           \
    if (what < 0) return -1;                                         \
    if (what > 0) die();                                             \
    after;                                                           \
    return REAL(name) arguments;                                     \
  }
WITHOUT_DATA(fsync, (int fd), (fd), is_regular(fd), flush(fd))
WITHOUT_DATA(fdatasync, (int fd), (fd), is_regular(fd), flush(fd))
WITHOUT_DATA(ftruncate, (int fd, off_t size), (fd, size), is_regular(fd), (void)0)
WITHOUT_DATA(ftruncate64, (int fd, off64_t size), (fd, size), is_regular(fd), (void)0)
WITHOUT_DATA(rename, (const char* from, const char* to), (from, to), 1, (void)0)
WITHOUT_DATA(unlink, (const char* path), (path), 1, (void)0)
